"""The old and the new version of a service of widgets, each over an SQLite file of its own.

`python -m serinus_e2e.store VERSION FILE PORT` serves as `child` has it. VERSION is `old`, `new`,
or `rounding`, which is the new one with a bug; port 0 is a free one. They differ in path and
schema: the old one keeps a row a widget, the new one prices and tags in tables of their own.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from .child import Child, serve_until_closed

Widget = dict[str, Any]
PATHS = {"old": "/get_widgets", "new": "/v2/widgets", "rounding": "/v2/widgets"}


def connect(file: str) -> sqlite3.Connection:
    """A database that writes at once and does not wait for the disk."""
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA synchronous = OFF")
    return database


class Old:
    """One table, with prices in cents."""

    def __init__(self, file: str):
        self._db = connect(file)
        self._db.execute("CREATE TABLE IF NOT EXISTS widgets (id PRIMARY KEY, name, cents, tags)")

    def put(self, widget: Widget) -> None:
        row = (widget["id"], widget["name"], round(widget["price"] * 100), " ".join(widget["tags"]))
        self._db.execute("INSERT OR REPLACE INTO widgets VALUES (?, ?, ?, ?)", row)

    def delete(self, name: str) -> None:
        self._db.execute("DELETE FROM widgets WHERE id = ?", (name,))

    def all(self, like: str = "%") -> list[Widget]:
        rows = self._db.execute(
            "SELECT id, name, cents, tags FROM widgets WHERE id LIKE ? ORDER BY id", (like,)
        )
        return [
            {"id": key, "name": name, "price": cents / 100, "tags": tags.split()}
            for key, name, cents, tags in rows
        ]


class New:
    """Three tables, with prices as decimal text."""

    def __init__(self, file: str, rounds: bool):
        self._db = connect(file)
        self._rounds = rounds
        for table in ("widget (id PRIMARY KEY, title)", "price (id PRIMARY KEY, amount)"):
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        self._db.execute("CREATE TABLE IF NOT EXISTS tag (id, place, tag)")
        self._db.execute("CREATE INDEX IF NOT EXISTS tag_of ON tag (id)")

    def put(self, widget: Widget) -> None:
        key = widget["id"]
        self.delete(key)
        self._db.execute("INSERT INTO widget VALUES (?, ?)", (key, widget["name"]))
        self._db.execute("INSERT INTO price VALUES (?, ?)", (key, f"{widget['price']:.2f}"))
        tags = [(key, place, tag) for place, tag in enumerate(widget["tags"])]
        self._db.executemany("INSERT INTO tag VALUES (?, ?, ?)", tags)

    def delete(self, name: str) -> None:
        for table in ("widget", "price", "tag"):
            self._db.execute(f"DELETE FROM {table} WHERE id = ?", (name,))

    def all(self, like: str = "%") -> list[Widget]:
        rows = self._db.execute(
            "SELECT id, title, amount FROM widget JOIN price USING (id) WHERE id LIKE ? "
            "ORDER BY id",
            (like,),
        ).fetchall()
        tags = "SELECT tag FROM tag WHERE id = ? ORDER BY place"
        return [
            {
                "id": key,
                "name": title,
                "price": round(float(amount)) if self._rounds else float(amount),
                "tags": [tag for (tag,) in self._db.execute(tags, (key,))],
            }
            for key, title, amount in rows
        ]


def app(version: str, file: str) -> web.Application:
    store = Old(file) if version == "old" else New(file, version == "rounding")
    says = {"x-store": version}

    async def read(request: web.Request) -> web.Response:
        wanted = request.match_info.get("id")
        found = store.all(wanted or "%")
        if wanted and not found:
            return web.json_response({"error": "no such widget"}, status=404, headers=says)
        return web.json_response(found[0] if wanted else {"widgets": found}, headers=says)

    async def write(request: web.Request) -> web.Response:
        widget: Widget = await request.json()
        widget |= {"id": request.match_info.get("id", widget.get("id"))}
        store.put(widget)
        status = 201 if request.method == "POST" else 200
        return web.json_response(widget, status=status, headers=says)

    async def delete(request: web.Request) -> web.Response:
        store.delete(request.match_info["id"])
        return web.Response(status=204, headers=says)

    path, served = PATHS[version], web.Application()
    one = path + "/{id}"
    served.add_routes([web.get(path, read), web.get(one, read), web.post(path, write)])
    served.add_routes([web.put(one, write), web.delete(one, delete)])
    return served


async def serve(version: str, file: str, port: int) -> None:
    runner = web.AppRunner(app(version, file), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await serve_until_closed(runner.addresses[0][1])
    await runner.cleanup()


class Store(Child):
    """A running version."""

    def __init__(self, version: str, file: Path, port: int = 0):
        super().__init__("store", version, str(file), str(port))
        self.version, self.file, self.port = version, file, int(self.ready)

    def widgets(self) -> list[Widget]:
        """What is in its file, past its API and its bugs."""
        store = Old(str(self.file)) if self.version == "old" else New(str(self.file), False)
        return store.all()


class Arguments(NamedTuple):
    version: str
    file: str
    port: str


if __name__ == "__main__":
    given = Arguments(*sys.argv[1:])
    asyncio.run(serve(given.version, given.file, int(given.port)))
