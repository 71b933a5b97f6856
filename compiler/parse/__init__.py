"""From P4 text to the syntax tree.

In the order in which text passes through: `lexer`, `preprocessor` (with `macros` and `conditions`),
`parser` (rules in `cursor`, `expressions`, `annotations`, `statements`, `tables`,
`declarations`), which builds `ast`.
"""

from p4cats.compiler.parse.parser import parse_file, parse_text
from p4cats.compiler.parse.preprocessor import preprocess_to_text

__all__ = ["parse_file", "parse_text", "preprocess_to_text"]
