"""Search in Chinese without a dictionary: text and query are cut into overlapping pairs of characters.

池化层 becomes 池化 and 化层. A query finds the pages that hold all of its pairs. Latin words stay whole.
"""

import re

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

SPLIT_QUERY = r"""
var splitQuery = (query) => query.match(/[a-zA-Z0-9_]+|[\u4e00-\u9fff]+/g)?.flatMap((word) =>
  /[\u4e00-\u9fff]/.test(word) && word.length > 2
    ? Array.from({length: word.length - 1}, (_, i) => word.slice(i, i + 2))
    : [word]) ?? [];
"""


def split(text: str) -> list[str]:
    """Latin words, and the pairs of each run of Chinese characters.

    >>> split("池化层 max pooling")
    ['池化', '化层', 'max', 'pooling']
    """
    words = []
    for word in re.findall(r"[a-zA-Z0-9_]+|[\u4e00-\u9fff]+", text):
        pairs = [word[i : i + 2] for i in range(len(word) - 1)] if word[0] >= "\u4e00" else []
        words += pairs or [word]
    return words


class Pairs(SearchEnglish):
    """Latin words are stemmed as English ones; Chinese is cut into pairs."""

    lang = "zh"
    js_splitter_code = SPLIT_QUERY

    def split(self, input: str) -> list[str]:
        """Cut a text for the index as `SPLIT_QUERY` cuts a query in the browser."""
        return split(input)


def setup(app: Sphinx) -> dict[str, bool]:
    """Take the place of Sphinx's own, which would need a dictionary."""
    app.add_search_language(Pairs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
