"""What the laboratory's numbers are called on a Chinese page: their keys are English, in result.json too."""

from collections.abc import Mapping

from plusx.lab.experiment import Text

CHINESE = {
    # parameters
    "fully connected layer": "全连接层",
    "convolution 3×3, 64 kernels": "3×3 卷积，64 个卷积核",
    "fully connected network, 32 px": "全连接网络，32 像素",
    "fully connected network, 224 px": "全连接网络，224 像素",
    "ResNet-20, 32 px": "ResNet-20，32 像素",
    "ResNet-20, 224 px": "ResNet-20，224 像素",
    # spatial-structure, translation
    "fully connected": "全连接",
    "convolutional": "卷积",
    "CNN, strides": "步长为 2 的 CNN",
    "CNN, max pooling": "最大池化的 CNN",
    "CNN, max and global pooling": "最大池化加全局池化的 CNN",
    "no pooling": "不池化",
    "max 2×2": "最大池化 2×2",
    "average 2×2": "平均池化 2×2",
    "max 8×8": "最大池化 8×8",
    "average 8×8": "平均池化 8×8",
    "global max": "全局最大池化",
    "global average": "全局平均池化",
    "stride 1": "步长 1",
    "stride 2": "步长 2",
    # padding
    "valid": "Valid",
    "same": "Same",
    # receptive-field
    "3×3, pool 2, 3×3": "3×3，池化 2，3×3",
    "3×3 stride 2, 3×3, 3×3": "3×3 步长 2，3×3，3×3",
    "3×3 dilated 2, 3×3": "3×3 空洞 2，3×3",
    "two 3×3": "两个 3×3",
    "two 3×3, as many parameters": "两个 3×3（参数量相同）",
    "three 3×3": "三个 3×3",
    "three 3×3, as many parameters": "三个 3×3（参数量相同）",
    # pooling
    "max": "最大池化",
    "average": "平均池化",
    "strided convolution": "步长 2 的卷积",
    "none": "不缩小",
    # gradient-flow
    "batch norm": "批归一化",
    "no norm": "无归一化",
    "no norm, weights × 0.7": "无归一化，权重 × 0.7",
    "after training": "训练后",
    # identity-path
    **{f"residual, F × {scale}": f"残差，F × {scale}" for scale in ("1", "0.1", "0")},
    **{f"plain, F × {scale}": f"传统，F × {scale}" for scale in ("1", "0.1", "0")},
}


def named(name: str) -> Text:
    """A key in both languages; one that is no word stays as it is.

    >>> named("max").zh, named("5×5").zh
    ('最大池化', '5×5')
    """
    return Text(name, CHINESE.get(name, name))


def listed(values: Mapping[str, str], separator: Text) -> Text:
    """Each key with what is said of it.

    >>> listed({"max": "64 %", "average": "62 %"}, Text(", ", "、")).zh
    '最大池化 64 %、平均池化 62 %'
    """
    return Text(
        separator.en.join(f"{named(name).en} {value}" for name, value in values.items()),
        separator.zh.join(f"{named(name).zh} {value}" for name, value in values.items()),
    )
