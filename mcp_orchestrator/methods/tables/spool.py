"""Blocks of text kept until it is decided what their columns are: small ones in memory, the rest on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Spool"]

MOST = 16 << 20
"""Bytes that are held in memory."""


class Spool:
    """A list of blocks that does not grow in memory; a later block may bring further columns."""

    def __init__(self, folder: Path, most: int = MOST) -> None:
        """Use ``folder`` once the blocks outgrow ``most`` bytes."""
        self.names: dict[str, None] = {}
        self.rows = 0
        self._folder = folder
        self._most = most
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0
        self._parts: list[Path] = []
        self._writer: Any = None
        self._schema: pa.Schema | None = None

    def add(self, block: pa.RecordBatch) -> None:
        """Keep a block."""
        self.names.update(dict.fromkeys(block.schema.names))
        self.rows += len(block)
        self._held.append(block)
        self._bytes += block.nbytes
        if self._bytes > self._most:
            self._spill()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Give the blocks in order, each with all columns; the ones on the disk are read one at a time."""
        import pyarrow as pa

        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for part in self._parts:
            with pa.OSFile(str(part)) as file, pa.ipc.open_stream(file) as reader:
                for block in reader:
                    yield self._whole(block)
        for block in self._held:
            yield self._whole(block)

    def _whole(self, block: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        if len(block.schema) == len(self.names):
            return block
        own = dict(zip(block.schema.names, block.columns, strict=True))
        columns = [own.get(name, pa.nulls(len(block), pa.string())) for name in self.names]
        return pa.RecordBatch.from_arrays(columns, names=list(self.names))

    def _spill(self) -> None:
        import pyarrow as pa

        for block in self._held:
            if self._writer is None or block.schema != self._schema:
                if self._writer is not None:
                    self._writer.close()
                self._parts.append(self._folder / f"part-{len(self._parts)}.arrow")
                self._schema = block.schema
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self._writer = pa.ipc.new_stream(str(self._parts[-1]), block.schema, options=options)
            self._writer.write_batch(block)
        self._held, self._bytes = [], 0
