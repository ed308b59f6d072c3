"""The annotator's account and its backups: read, never run, whoever wrote them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from shell import ROOT, call

ACCOUNT = "ANNOTATOR_LOGIN=a@b\nANNOTATOR_PASSWORD={}\nANNOTATOR_TOKEN=t\nANNOTATOR_SECRET=s\n"
HOSTILE = ["pa$$ word; touch ran", "$(touch ran)", "`touch ran`", "a=b=c", "'", '"', "it's \\n #", "* ? [a]", " 비밀 "]
STATE = "coco-annotator/.annotator"


def account(folder: Path, **environment: str):
    """What `account` sets in a shell whose project keeps its state in a folder."""
    script = (f". {ROOT}/scripts/python.sh; . {ROOT}/scripts/annotating.sh; state=state; account; "
              'printf "%s|%s|%s|%s" "$ANNOTATOR_LOGIN" "$ANNOTATOR_PASSWORD" "$ANNOTATOR_TOKEN" "$ANNOTATOR_SECRET"')
    return call("sh", "-euc", script, cwd=folder, **environment)


@pytest.mark.parametrize("password", HOSTILE)
def test_a_password_is_kept_as_it_was_chosen_and_never_run(tmp_path, password):
    first, second = account(tmp_path, ANNOTATOR_PASSWORD=password), account(tmp_path)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout == second.stdout and second.stdout.split("|")[1] == password
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_lines_that_are_no_value_of_the_account_are_not_run(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/account").write_text("touch ran\nPATH=/nowhere\n" + ACCOUNT.format("p"))
    assert account(tmp_path).stdout == "a@b|p|t|s" and not (tmp_path / "ran").exists()


def test_an_account_without_a_value_and_a_password_with_a_line_break_are_refused(tmp_path):
    refused = account(tmp_path, ANNOTATOR_PASSWORD="a\nANNOTATOR_TOKEN=mine")
    assert refused.returncode == 1 and "has a line break" in refused.stderr
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state/account").write_text("ANNOTATOR_LOGIN=a@b\n")
    lacking = account(tmp_path)
    assert lacking.returncode == 1 and "state/account lacks a value" in lacking.stderr


def archive(path: Path, *members: tuple[str, bytes | tuple[bytes, str]]) -> Path:
    """An archive of files by name, and of members of another type with what they lead to."""
    with tarfile.open(path, "w:gz") as made:
        for name, held in members:
            member = tarfile.TarInfo(name)
            if isinstance(held, tuple):
                member.type, member.linkname = held
                made.addfile(member)
            else:
                member.size, member.mode = len(held), 0o4777
                made.addfile(member, io.BytesIO(held))
    return path


WHOLE = (("./account", ACCOUNT.format("$(touch ran)").encode()), ("./label-studio/label_studio.sqlite3", b"labels"),
         ("./label-studio/.env", b"DEBUG=1\nSECRET_KEY=k\nLD_PRELOAD=/tmp/x.so\n"))


def test_a_backup_comes_back_with_its_own_settings_alone_and_nothing_of_it_is_run(project):
    done = call("sh", "annotator.sh", "restore", str(archive(project / "backup.tar.gz", *WHOLE)), cwd=project,
                ANNOTATOR="label-studio")
    assert done.returncode == 0, done.stderr
    state = project / STATE
    assert (state / "label-studio/label_studio.sqlite3").read_bytes() == b"labels"
    assert (state / "label-studio/.env").read_text() == "SECRET_KEY=k\n"
    assert "ANNOTATOR_PASSWORD=$(touch ran)" in (state / "account").read_text()
    assert (state / "account").stat().st_mode & 0o7777 == 0o600
    assert not (state / "restored").exists() and not (project / "ran").exists()


@pytest.mark.parametrize(("member", "said"), [
    (("../escaped", b"x"), "leads out of it"), (("label-studio/../../escaped", b"x"), "leads out of it"),
    (("/tmp/ss-poc-escaped", b"x"), "leads out of it"), (("label-studio/link", (tarfile.SYMTYPE, "/etc")), "neither a"),
    (("label-studio/hard", (tarfile.LNKTYPE, "account")), "neither a"), (("pid", b"1"), "is not of a backup"),
    (("label-studio/pipe", (tarfile.FIFOTYPE, "")), "neither a"), (("tool", b"x"), "is not of a backup")])
def test_an_archive_that_reaches_elsewhere_is_refused_and_changes_nothing(project, member, said):
    state = project / STATE
    (state / "label-studio").mkdir(parents=True)
    (state / "label-studio/label_studio.sqlite3").write_text("mine")
    done = call("sh", "annotator.sh", "restore", str(archive(project / "backup.tar.gz", *WHOLE, member)), cwd=project,
                ANNOTATOR="label-studio")
    assert done.returncode == 1 and said in done.stderr and "is no backup of Label Studio" in done.stderr
    assert (state / "label-studio/label_studio.sqlite3").read_text() == "mine" and not (state / "account").exists()
    assert not list((state / "restored").iterdir()) and not list(project.rglob("escaped"))
    assert not Path("/tmp/ss-poc-escaped").exists()


@pytest.mark.parametrize("members", [WHOLE[:1], WHOLE[1:], ()])
def test_an_archive_without_account_or_labels_is_no_backup(project, members):
    done = call("sh", "annotator.sh", "restore", str(archive(project / "backup.tar.gz", *members)), cwd=project,
                ANNOTATOR="label-studio")
    assert done.returncode == 1 and "its account or its labels are missing" in done.stderr
