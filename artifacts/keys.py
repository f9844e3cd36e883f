"""Keys name rows, so no two neighbouring rows may have the same one."""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

import pyarrow as pa
import pyarrow.compute as pc

from artifacts.errors import DuplicateKey
from artifacts.schema import RowType


class NeighbourKeys:
    """Refuses a row that has the key of the row before it, within and across batches.

    Only neighbours are compared: rows of one prompt stand together, so an accidental repetition does too, and
    memory stays constant. A key that returns after other rows is not noticed.
    """

    def __init__(self, row_type: type[RowType]) -> None:
        """Start before the first row."""
        self._row_type = row_type
        self._last: tuple[object, ...] | None = None

    def check(self, batch: pa.RecordBatch) -> None:
        """Take note of the batch's keys.

        Raises:
            DuplicateKey: names the key.
        """
        if not batch.num_rows:
            return
        columns = [batch.column(name) for name in self._row_type.KEY]
        first = tuple(column[0].as_py() for column in columns)
        if first == self._last:
            self._refuse(first)
        repeats = None
        for column in columns:
            same = pc.call_function("equal", [column.slice(1), column.slice(0, len(column) - 1)])
            repeats = same if repeats is None else pc.call_function("and", [repeats, same])
        found = pc.call_function("index", [repeats], pc.IndexOptions(pa.scalar(True))).as_py()
        if found >= 0:
            self._refuse(tuple(column[found].as_py() for column in columns))
        self._last = tuple(column[-1].as_py() for column in columns)

    def _refuse(self, key: tuple[object, ...]) -> None:
        named = ", ".join(f"{name}={value!r}" for name, value in zip(self._row_type.KEY, key, strict=True))
        raise DuplicateKey(
            f"Two {self._row_type.KIND!r} rows in a row have the key {named}; a key names one row. "
            f"Look for a shard that was written twice or a prompt_id that is not unique in the data set."
        )
