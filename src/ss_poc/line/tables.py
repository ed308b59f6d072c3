"""The archive's tables, in SQLite or PostgreSQL, and the version of their layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    make_url,
    select,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from ..core.errors import ArtifactError

__all__ = ["FOUND", "PARTS", "VERSION", "open_tables"]

VERSION = 1
TABLES = MetaData()
LONG = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows itself only where they are plain integers

SCHEMA = Table("line_schema", TABLES, Column("version", Integer, primary_key=True))

PARTS = Table(
    "line_parts", TABLES,
    Column("id", LONG, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("line", String(50), nullable=False),
    Column("source", String(50), nullable=False),
    Column("name", Text, nullable=False),
    Column("part", Text, index=True),
    Column("lot", Text, index=True),
    Column("verdict", String(10), nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("measurements", JSON, nullable=False),
    Column("regions", JSON, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("taken_ms", LONG, nullable=False),
    Column("milliseconds", Float, nullable=False),
    Column("picture", Text, nullable=False),
    Column("picture_bytes", LONG, nullable=False),
    Column("stamp", Text, nullable=False),
    Column("handed_over", Boolean, nullable=False),
    Index("line_parts_taken", "line", "taken_ms"),
    Index("line_parts_name", "line", "source", "name"),
)

# A class that was found in a part.
FOUND = Table(
    "line_found", TABLES,
    Column("part_id", LONG, ForeignKey("line_parts.id", ondelete="CASCADE"), primary_key=True),
    Column("label", String(200), primary_key=True),
    Column("objects", Integer, nullable=False),
    Column("area", LONG, nullable=False),
    Index("line_found_label", "label", "part_id"),
)

# Rows that wait for a sink, or carry pictures that count against the limit, are few among many.
Index("line_parts_waiting", PARTS.c.id, sqlite_where=~PARTS.c.handed_over, postgresql_where=~PARTS.c.handed_over)
Index("line_parts_pictures", PARTS.c.id, sqlite_where=PARTS.c.picture != "", postgresql_where=PARTS.c.picture != "")


def open_tables(url: str) -> Engine:
    """Open the archive at an address; make its tables where there are none.

    Raises:
        ArtifactError: it cannot be opened, or a newer version of this program wrote it.
    """
    try:
        address = make_url(url)
        is_file = address.get_backend_name() == "sqlite"
        # A connection to a server may be lost while nobody uses it; one to a file is not.
        engine = create_engine(address, pool_pre_ping=not is_file)
        if is_file:
            if engine.url.database:
                Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
            event.listen(engine, "connect", _prepare_sqlite)
        _make(engine)
        found = _version_of(engine)
    except (SQLAlchemyError, OSError) as error:
        raise ArtifactError(f"the archive cannot be opened: {getattr(error, 'orig', None) or error}",
                            "a database that answers", "check archive.url, and that the database runs") from None
    if found != VERSION:
        raise ArtifactError(f"the archive has layout {found}", f"layout {VERSION}",
                            "use the version of this program that wrote it, or another archive.url")
    return engine


def _make(engine: Engine) -> None:
    try:
        TABLES.create_all(engine)
    except SQLAlchemyError:  # another line makes them at the same time
        TABLES.create_all(engine)


def _version_of(engine: Engine) -> int:
    """Layout of the tables; that of this program where they are new."""
    with engine.begin() as connection:
        found = connection.execute(select(SCHEMA.c.version)).scalars().first()
    if found is None:
        try:
            with engine.begin() as connection:
                connection.execute(insert(SCHEMA).values(version=VERSION))
        except IntegrityError:  # another line opened it at the same time
            return _version_of(engine)
    return VERSION if found is None else found


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Readers and the writer do not wait for each other (WAL); what is committed survives a power cut (FULL).

    Each connection keeps 512 kB of pages, not 2 MB: there are several, and the disk's own cache has the file as well.
    """
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000", "cache_size=-512"):
        connection.execute(f"PRAGMA {pragma}")
