"""Tables of measured figures, written into the documents by the scripts that measured them."""

import re
from pathlib import Path

TABLE = re.compile(r"(?<=<!-- results -->\n).*?(?=\n<!-- end of results -->)", re.DOTALL)


def rewrite(document: Path, table: str) -> None:
    """Put a table where a document has the marks of one."""
    text = document.read_text(encoding="utf-8")
    document.write_text(TABLE.sub(lambda _: table, text), encoding="utf-8")
