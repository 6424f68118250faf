import os
import pickle

import numpy as np
import pytest

from plusx.data.unpickle import from_python


def test_reads_what_python_2_wrote(fake):
    for name, content in fake.files("py").items():
        assert pickle.loads(content, encoding="bytes")[b"data"].shape == (3, 3072)  # a true pickle
        assert from_python(content) == fake.contents[name]


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("key", [str, str.encode])
def test_reads_what_python_3_writes(fake, protocol, key):
    rows = fake.images["test_batch"].transpose(0, 3, 1, 2).reshape(3, -1)
    fields = {key("data"): rows, key("labels"): fake.labels["test_batch"].tolist()}
    assert from_python(pickle.dumps(fields, protocol)) == fake.contents["test_batch"]


class Strike:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("where", ["top", "data", "labels"])
def test_a_stranger_s_pickle_is_refused_before_it_acts(tmp_path, where):
    trap = tmp_path / "struck"
    for strike in (
        Strike(os.system, f"touch {trap}"),
        Strike(os.mkdir, str(trap)),
        Strike(eval, f"open({str(trap)!r}, 'w')"),
        Strike(np.save, str(trap), 1),
        Strike(getattr, "", "join"),
    ):
        fields = {"data": np.zeros((1, 3072), np.uint8), "labels": [0]}
        content = pickle.dumps(strike if where == "top" else {**fields, where: strike}, protocol=2)
        with pytest.raises(ValueError, match=r"it asks for .* which CIFAR-10 doesn't need"):
            from_python(content)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({"data": np.zeros((1, 3072), np.uint8)}, protocol=2),
        pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, protocol=2),
        pickle.dumps({"data": np.zeros((1, 3072), np.int8), "labels": [1]}, protocol=2),
        pickle.dumps({"data": np.zeros((2, 3072), np.uint8, order="F"), "labels": [1, 2]}, protocol=2),
        pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": ["cat"]}, protocol=2),
        b"cnumpy\nndarray\n}(Vraw\nVx\nub.",  # tries to set an attribute on the stand-in's class
    ],
)
def test_anything_else_is_a_value_error(content):
    with pytest.raises(ValueError, match="it is not a batch"):
        from_python(content)
