"""What people made, kept over reloads and restarts: one SQLite file, with the rows that infer reads and writes."""

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import msgspec
from msgspec import Struct

from pipeline.errors import UserError
from pipeline.files.atomic import cannot_write

FILE = "explore.sqlite"
FIRST_WORKSPACE = "first"
State = Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS logins (token_hash TEXT PRIMARY KEY, user TEXT NOT NULL, until_unix_s REAL NOT NULL);
CREATE TABLE IF NOT EXISTS workspaces (user TEXT, name TEXT, PRIMARY KEY (user, name));
CREATE TABLE IF NOT EXISTS made (
    number INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, workspace TEXT NOT NULL, bundle TEXT NOT NULL,
    state TEXT NOT NULL, asked BLOB NOT NULL, request BLOB NOT NULL, view BLOB, prediction BLOB, error TEXT
);
CREATE INDEX IF NOT EXISTS made_by ON made (user, workspace);
CREATE TABLE IF NOT EXISTS log (user TEXT NOT NULL, unix_s REAL NOT NULL, what TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS log_of ON log (user);
"""
_REASONS = {
    "SQLITE_FULL": ("the disk is full", "free some space: what was made before is still there"),
    "SQLITE_IOERR_WRITE": ("the disk takes no more", "free some space: what was made before is still there"),
    "SQLITE_BUSY": ("another server is at work here", "end it, or give another folder with --out"),
    "SQLITE_CORRUPT": ("the file of what people made is damaged", "restore it from a copy, or give another --out"),
    "SQLITE_NOTADB": ("this is no file of baton explore", "give another folder with --out"),
}


class Made(Struct, frozen=True, kw_only=True):
    """A generation: what was ``asked`` (JSON: the form, the choice), the ``request`` row that it makes, and once it is
    done its ``prediction`` row and the ``view`` of it (JSON: what a page shows)."""

    number: int
    user: str
    workspace: str
    bundle: str
    state: State
    asked: bytes
    request: bytes
    view: bytes | None = None
    prediction: bytes | None = None
    error: str | None = None


class Store:
    """The file in ``folder``. What was under way when the server died is "interrupted": its request is still there.

    Raises UserError when the file cannot be read or written, and leaves it as it was then.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # one server a file
            self._connection.execute("PRAGMA journal_mode = WAL")
        except (OSError, sqlite3.Error) as error:
            raise self._wrong(error) from error
        with self._changing() as change:
            for statement in _TABLES.split(";\n"):
                change.execute(statement)
            change.execute("UPDATE made SET state = 'interrupted' WHERE state IN ('waiting', 'running')")
            own = secrets.token_hex(16)  # it names the cookies, which nobody is to guess
            change.execute("INSERT OR IGNORE INTO facts VALUES ('id', ?)", (own,))
        self.id: str = self._all("SELECT value FROM facts WHERE name = 'id'")[0][0]

    def close(self) -> None:
        """Write what is to be written, and let go of the file."""
        with self._lock:
            self._connection.close()

    # Who is known by a token: only a hash of it is kept.

    def log_in(self, user: str, seconds: float) -> str:
        """A new token of a user."""
        token = secrets.token_urlsafe(32)
        with self._changing() as change:
            change.execute("DELETE FROM logins WHERE until_unix_s < ?", (time.time(),))
            change.execute("INSERT INTO logins VALUES (?, ?, ?)", (hash_of(token), user, time.time() + seconds))
        return token

    def log_out(self, token: str) -> None:
        """The token is nobody's from now on."""
        self._change("DELETE FROM logins WHERE token_hash = ?", hash_of(token))

    def user_of(self, token: str) -> str | None:
        """Whose token it is, if it is anybody's."""
        statement = "SELECT user FROM logins WHERE token_hash = ? AND until_unix_s > ?"
        return next((user for (user,) in self._all(statement, hash_of(token), time.time())), None)

    # What they made.

    def add(self, owner: tuple[str, str], bundle: str, asked: bytes, request: Callable[[int], bytes]) -> int:
        """The number of a new generation of a user in a workspace; ``request(number)`` is its row."""
        names = "user, workspace, bundle, asked, state, request"
        statement = f"INSERT INTO made ({names}) VALUES (?, ?, ?, ?, 'waiting', '')"
        with self._changing() as change:
            number = change.execute(statement, (*owner, bundle, asked)).lastrowid
            assert number is not None
            change.execute("UPDATE made SET request = ? WHERE number = ?", (request(number), number))
            change.execute("INSERT INTO log VALUES (?, ?, ?)", (owner[0], time.time(), f"asked for made-{number:06d}"))
        return number

    def change(self, number: int, **values: Any) -> None:
        """Set columns of a generation."""
        names = ", ".join(f"{name} = ?" for name in values)
        self._change(f"UPDATE made SET {names} WHERE number = ?", *values.values(), number)

    def remove(self, user: str, number: int) -> None:
        """Forget one that is not under way."""
        where = "user = ? AND number = ? AND state NOT IN ('waiting', 'running')"
        self._change(f"DELETE FROM made WHERE {where}", user, number)

    def made(self, user: str, workspace: str) -> list[Made]:
        """All of a workspace, in order."""
        return self._select("user = ? AND workspace = ? ORDER BY number", user, workspace)

    def one(self, number: int) -> Made | None:
        """A generation by its number."""
        return next(iter(self._select("number = ?", number)), None)

    def workspaces(self, user: str) -> list[str]:
        """Names of the workspaces of a user: the first one is there from the beginning."""
        found = self._all("SELECT name FROM workspaces WHERE user = ? ORDER BY name", user)
        return [FIRST_WORKSPACE, *(name for (name,) in found)]

    def add_workspace(self, user: str, name: str) -> None:
        """A new one; one that is there is left as it is."""
        if name != FIRST_WORKSPACE:
            self._change("INSERT OR IGNORE INTO workspaces VALUES (?, ?)", user, name)

    def note(self, user: str, what: str) -> None:
        """A line in the log of use."""
        self._change("INSERT INTO log VALUES (?, ?, ?)", user, time.time(), what)

    def log(self, user: str) -> list[Mapping[str, Any]]:
        """The log of a user, oldest first."""
        found = self._all("SELECT unix_s, what FROM log WHERE user = ? ORDER BY rowid", user)
        return [{"unix_s": unix_s, "what": what} for unix_s, what in found]

    def _select(self, where: str, *values: Any) -> list[Made]:
        names = Made.__struct_fields__
        found = self._all(f"SELECT {', '.join(names)} FROM made WHERE {where}", *values)
        return [msgspec.convert(dict(zip(names, row, strict=True)), Made) for row in found]

    def _all(self, statement: str, *values: Any) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._wrong(error) from error

    def _change(self, statement: str, *values: Any) -> None:
        with self._changing() as change:
            change.execute(statement, values)

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """All statements within, or none."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._wrong(error) from error
            finally:  # whatever went wrong: the next one cannot begin within this one
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _wrong(self, error: OSError | sqlite3.Error) -> UserError:
        if isinstance(error, OSError):
            return cannot_write(self.path, error)
        what, remedy = _REASONS.get(getattr(error, "sqlite_errorname", ""), (f"the store fails: {error}", None))
        return UserError(what, where=str(self.path), remedy=remedy)


def hash_of(token: str) -> str:
    """What is kept of a token: whoever reads the file cannot log in with it."""
    return hashlib.sha256(token.encode()).hexdigest()
