"""``scim-server run``: the real program, as a supervisor, a load balancer, Prometheus and a log collector meet it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy.engine import make_url

from scim_server import __version__
from scim_server.app import create_app
from scim_server.config import Settings
from scim_server.directory import events, minting
from scim_server.directory.store.engine import Database
from tests.directory.remote import CLIENTS, Remote, at_once
from tests.running import USER, House, Running, Scim, program, serve


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def running(module_database_url: str, folder: Path) -> Iterator[Running]:
    with serve(module_database_url, folder) as started:
        yield started


@pytest.fixture
def client(running: Running) -> Remote:
    return Remote(running)


@contextmanager
def held(database_url: str) -> Iterator[None]:
    """Nobody else can write inside the block: whoever tries waits."""
    database = Database(database_url)
    with database.transaction() as link:
        if not database.is_sqlite:
            link.run_sql("LOCK TABLE resources IN EXCLUSIVE MODE")
        yield
    database.close()


def lines(folder: Path) -> list[dict[str, Any]]:
    """The log: every line that is not the greeting."""
    text = (folder / "server.log").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def metrics(client: Remote) -> dict[str, float]:
    answer = client.send("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples = [line.rpartition(" ") for line in answer.body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in samples}


# --------------------------------------------------------------------------------------- starting, stopping


def test_it_greets_with_what_is_needed_next_and_shows_no_secret(running: Running, folder: Path) -> None:
    text = (folder / "server.log").read_text()
    assert f"scim-server {__version__}\n" in text
    assert f"SCIM base URL   {running.scim}\n" in text
    assert re.search(r"a SCIM token +\S.* token issue --name my-identity-provider\n", text)
    assert "Traceback" not in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_running_request_is_finished_when_it_is_told_to_stop(
    database_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    answers = []
    with serve(database_url, tmp_path, workers=1) as running:
        client = Remote(running)
        body = {"schemas": [USER], "userName": "last"}
        request = threading.Thread(target=lambda: answers.append(client.post("/Users", body)))
        with held(database_url):
            request.start()
            time.sleep(0.3)
            running.process.send_signal(number)
            time.sleep(0.3)
            assert running.process.poll() is None, "it waits for the request"
        request.join(10)
        assert running.process.wait(10) == 0
    assert [answer.status for answer in answers] == [201]
    house = House(database_url)
    assert house.client().get("/Users").json["totalResults"] == 1
    house.close()


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    environment = {"SCIM_SERVER_DATA_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = program("run", "--port", str(port), environment=environment)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == (
        f"scim-server: Cannot listen at 127.0.0.1 port {port}: Address already in use. Choose with --host, --port.\n"
    )


def test_a_wrong_setting_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    environment = {"SCIM_SERVER_DATA_DIR": str(tmp_path), "SCIM_SERVER_WORKERS": "many"}
    told = program("run", environment=environment | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == "scim-server: SCIM_SERVER_WORKERS must be a whole number from 1 to 256\n"


def test_several_machines_may_upgrade_one_database_at_once(postgres_server: Any, tmp_path: Path) -> None:
    with postgres_server.database() as url:
        environment = os.environ | {"SCIM_SERVER_DATABASE_URL": url, "SCIM_SERVER_DATA_DIR": str(tmp_path)}
        command = [sys.executable, "-c", "from scim_server.cli import main; main()", "db", "upgrade"]
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(2)]
        told = [process.communicate(timeout=60)[0].decode() for process in started]
        assert [process.returncode for process in started] == [0, 0]
        assert all(text.startswith("The database is at revision") for text in told)


# -------------------------------------------------------------------------------------------------- the log


def test_each_request_is_one_line_with_the_id_that_the_client_was_given(client: Remote, folder: Path) -> None:
    answers = [client.get("/Users"), client.get("/Nothing"), client.post("/Users", {"schemas": [USER]})]
    ids = [each.headers["x-request-id"] for each in answers]
    told = [[line for line in lines(folder) if line.get("request_id") == each] for each in ids]
    assert [len(each) for each in told] == [1, 1, 1]
    for answer, [line] in zip(answers, told, strict=True):
        assert line["event"] == "scim.request"
        assert line["status"] == answer.status
        assert line["connection"] == "default"
        assert line["duration_ms"] >= 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["ts"])
    assert [line["scim_type"] for [line] in told[2:]] == ["invalidValue"]
    assert [line["path"] for [line] in told] == ["/Users", "/Nothing", "/Users"]


def test_the_log_holds_no_query_string_and_no_secret(client: Remote, folder: Path) -> None:
    client.get("/Users", filter='userName eq "canary-name"')
    client.post("/Users", {"schemas": [USER], "userName": "canary-name", "password": "canary-password"})
    client.request("GET", "/Users", headers={"Authorization": f"Bearer {client.token}x", "User-Agent": "canary-agent"})
    client.request("GET", "/Users", headers={"Authorization": "Basic canary-basic"})
    client.send("GET", "/scim/v2/Users?access_token=canary-query")
    text = (folder / "server.log").read_text()
    assert client.token is not None
    assert [secret for secret in ("canary", client.token, "filter") if secret in text] == []


def test_a_line_stays_one_whatever_a_client_sends(client: Remote, folder: Path) -> None:
    before = len(lines(folder))
    answer = client.send("GET", "/scim/v2/Users/%0d%0a%7b%22event%22:%22forged%22%7d%1b[31m" + "x" * 5000)
    assert answer.status == 401
    [line] = lines(folder)[before:]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert len(line["path"]) <= 200


# ---------------------------------------------------------------------------------- health and metrics


def test_the_probes_answer_tersely_and_need_no_token(client: Remote) -> None:
    health, ready = client.send("GET", "/healthz"), client.send("GET", "/readyz")
    assert (health.status, health.json) == (200, {"status": "ok"})
    checks = [{"check": "database", "ok": True}, {"check": "schema", "ok": True}]
    assert (ready.status, ready.json) == (200, {"status": "ok", "checks": checks})
    assert ready.headers["x-content-type-options"] == "nosniff"


def ready(app: Flask) -> tuple[int, dict[str, bool]]:
    answer = app.test_client().get("/readyz")
    assert answer.json is not None
    return answer.status_code, {each["check"]: each["ok"] for each in answer.json["checks"]}


def test_it_is_not_ready_while_the_schema_is_another(house: House) -> None:
    assert ready(house.app) == (200, {"database": True, "schema": True})
    house.database.run_sql("UPDATE alembic_version SET version_num = '0000'")
    assert ready(house.app) == (503, {"database": True, "schema": False})
    house.database.run_sql("DROP TABLE alembic_version")
    assert ready(house.app) == (503, {"database": True, "schema": False})
    assert house.app.test_client().get("/healthz").status_code == 200


def test_it_is_not_ready_while_the_database_is_gone() -> None:
    app = create_app(Settings(database_url="postgresql:///gone?host=/nonexistent"))
    assert ready(app) == (503, {"database": False, "schema": False})
    assert app.test_client().get("/metrics").status_code == 503
    assert app.test_client().get("/healthz").status_code == 200
    answer = Scim(app.wsgi_app, minting.mint("scim").text).get("/Users")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_metrics_are_summed_over_the_workers(client: Remote) -> None:
    name = (
        'scim_server_scim_requests_total{connection="default",method="GET",resource="Groups",scim_type="",status="200"}'
    )
    before = metrics(client).get(name, 0.0)
    at_once(lambda _: client.get("/Groups"), range(CLIENTS))
    after = metrics(client)
    assert after[name] - before == CLIENTS
    assert after['scim_server_scim_request_duration_seconds_count{method="GET",resource="Groups"}'] == after[name]
    last = after['scim_server_scim_last_request_timestamp_seconds{connection="default"}']
    assert abs(time.time() - last) < 60
    assert after[f'scim_server_build_info{{version="{__version__}"}}'] == 1


def test_metrics_count_refusals_by_reason(client: Remote) -> None:
    def refusals() -> dict[str, float]:
        found = metrics(client)
        return {
            reason: found.get(f'scim_server_scim_auth_failures_total{{reason="{reason}"}}', 0.0)
            for reason in ("missing", "invalid")
        }

    before = refusals()
    client.send("GET", "/scim/v2/Users")
    for text in ("Bearer x", f"Bearer {client.token}x"):
        client.send("GET", "/scim/v2/Users", headers={"Authorization": text})
    assert refusals() == {"missing": before["missing"] + 1, "invalid": before["invalid"] + 2}


def test_metrics_have_no_label_that_a_client_chooses(client: Remote) -> None:
    client.request("BREW", "/Pots/canary")
    client.get("/Users/canary")
    assert [name for name in metrics(client) if "canary" in name or "BREW" in name or "Pots" in name] == []


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"])
def test_metrics_are_not_for_whoever_comes_through_a_proxy(client: Remote, header: str) -> None:
    answer = client.send("GET", "/metrics", headers={header: "192.0.2.7"})
    assert answer.status == 403
    assert b"SCIM_SERVER_METRICS_TOKEN" in answer.body


def test_metrics_with_a_token_are_for_its_bearer_alone(database_url: str) -> None:
    house = House(database_url, metrics_token="open sesame")
    with house.app.test_client() as visitor:
        headers = [{}, {"Authorization": "Bearer open"}, {"Authorization": "Basic x"}, {"Authorization": "Bearer é"}]
        assert [visitor.get("/metrics", headers=each).status_code for each in headers] == [403] * 4
        good = {"Authorization": "Bearer open sesame", "X-Forwarded-For": "192.0.2.7"}
        assert visitor.get("/metrics", headers=good).status_code == 200
    house.close()


# ----------------------------------------------------------------------------- workers and the database


def test_a_revoked_token_is_refused_by_every_worker_at_once(running: Running) -> None:
    issued = json.loads(program("token", "issue", "--name", "x", "--json", environment=running.environment).stdout)
    bearer = Remote(running, issued["token"])
    assert set(at_once(lambda _: bearer.get("/Users").status, range(CLIENTS))) == {200}
    assert program("token", "revoke", issued["id"], environment=running.environment).returncode == 0
    assert set(at_once(lambda _: bearer.get("/Users").status, range(CLIENTS))) == {401}


@pytest.mark.parametrize("module_database_url", ["postgresql"], indirect=True)  # a file does not hang up
def test_a_database_that_hangs_up_between_requests_is_called_again(
    client: Remote, module_database_url: str, folder: Path
) -> None:
    user = client.user("survivor")["id"]
    for lap in range(3):
        at_once(lambda _: client.get(f"/Users/{user}"), range(8))  # so that every worker has connections
        _hang_up(module_database_url)
        statuses = Counter(at_once(lambda number, lap=lap: _write(client, f"lap-{lap}-{number}"), range(8)))
        assert set(statuses) <= {201, 503}
        assert client.get(f"/Users/{user}").status == 200
    assert "scim.failure" not in {line["event"] for line in lines(folder)}


def _write(client: Remote, name: str) -> int:
    answer = client.post("/Users", {"schemas": [USER], "userName": name})
    assert answer.status != 503 or answer.headers["retry-after"] == "1"
    return answer.status


def _hang_up(database_url: str) -> None:
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_hangs_up_in_a_transaction_is_503_and_nothing_is_half_done(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    scim, append = house.client(), events.append

    def append_after_the_line_is_cut(*arguments: Any) -> None:
        _hang_up(house.database.url.render_as_string(hide_password=False))
        append(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(events, "append", append_after_the_line_is_cut)
        answer = scim.post("/Users", {"schemas": [USER], "userName": "ada"})
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert scim.get("/Users").json["totalResults"] == 0
    scim.user("ada")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL's writers wait for single rows alone
def test_a_database_that_stays_busy_is_503(house: House, database_url: str) -> None:
    scim = house.client()
    house.database.run_sql("PRAGMA busy_timeout = 50")
    with held(database_url):
        answer = scim.post("/Users", {"schemas": [USER], "userName": "ada"})
        assert scim.get("/Users").status == 200, "whoever only reads does not wait"
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    scim.user("ada")
