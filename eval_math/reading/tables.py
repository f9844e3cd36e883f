"""What stands in rows and cells: matrices, definitions by cases, systems of equations."""

from __future__ import annotations

from eval_math.reading.brackets import BracketParser
from eval_math.reading.cursor import END
from eval_math.reading.tree import Call, Node, Quantity, Sym, Unreadable

_CONDITION_WORDS = frozenset({"if", "when", "for", "otherwise", "else", "where"})


class Parser(BracketParser):
    """The whole grammar."""

    def environment(self, name: str) -> Node:
        """The rows of a matrix or of a definition by cases; `array` states its columns first."""
        if name == "array" and self.accept("{"):
            while self.peek() is not END and self.take().text != "}":
                pass
        rows: list[Node] = []
        while self.peek().kind != "end":
            cells = [self.cell(name)]
            while self.accept("&"):
                cells.append(self.cell(name))
            rows.append(Call("row", tuple(cells)))
            if not self.accept("\\\\") and self.peek().kind != "end":
                raise Unreadable("a matrix row without its end")
        self.take()
        return self.table(name, rows)

    def table(self, name: str, rows: list[Node]) -> Node:
        """What an environment with these rows means."""
        if name == "vmatrix":
            return self.determinant(Call("matrix", tuple(rows)))
        if name == "cases" and all(isinstance(row, Call) and len(row.args) == 1 for row in rows):
            # A brace before equations is a system: all of them hold.
            return Call("list", tuple(row.args[0] for row in rows if isinstance(row, Call)))
        return Call("matrix" if name.endswith("matrix") or name == "array" else name, tuple(rows))

    def cell(self, name: str) -> Node:
        """One cell; the condition of a case stands behind "if", or is taken as words."""
        if name != "cases":
            return self.item()
        if self.peek().kind == "text" and self.peek().text.lower() in _CONDITION_WORDS - {"otherwise", "else"}:
            self.at += 1
        start = self.at
        try:
            node = self.item()
            self.accept(",")
            plain = not isinstance(node, Quantity)
            if plain and (self.peek().kind == "end" or self.peek().text in ("&", "\\\\")):
                return node
        except Unreadable:
            pass
        self.at = start
        words: list[str] = []
        while self.peek().kind not in ("end", "eof") and self.peek().text not in ("&", "\\\\"):
            words += self.take().text.lower().replace(",", " ").split()
        return Sym("\\text " + " ".join(word for word in words if word not in _CONDITION_WORDS | {"is"}))
