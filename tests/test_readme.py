"""The READMEs' commands are run as they stand, by a user who copies them one after the other."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest
from clones import clone_into
from served import free_port

ROOT = Path(__file__).resolve().parents[1]
# Running the tests from inside the tests would never end; tests/browser/test_labelling_page.py labels.
NOT_RUN = {"sh test.sh\n", "sh annotator.sh\nsh annotator.sh new photos --labels scratch,pit\n"}


def blocks(name: str) -> list[str]:
    """Contents of the ```sh blocks, indentation of lists removed."""
    found = re.findall(r"^( *)```sh\n(.*?)^ *```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [re.sub(f"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def test_both_languages_show_the_same_commands():
    assert blocks("README.md") == blocks("README.ko.md") and len(blocks("README.md")) >= 6


@pytest.mark.parametrize("name", ["README.md", "README.ko.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))])
def test_links_and_pictures_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target:
            assert (ROOT / name).parent.joinpath(target).exists(), target


def test_variables_in_the_readme_are_those_of_the_script():
    script = (ROOT / "trainer.sh").read_text()
    for name in re.findall(r'^: "\$\{(\w+):=', script, re.MULTILINE):
        assert f"| `{name}` |" in (ROOT / "README.md").read_text()


@pytest.fixture
def clone(tmp_path: Path):
    """What a new user gets, with the environments that are there already."""
    folder = clone_into(tmp_path / "ss poc", ".venv", ".venv-serve")
    yield folder
    subprocess.run(["sh", "server.sh", "stop"], cwd=folder, capture_output=True, timeout=60)


@pytest.fixture
def port(monkeypatch) -> str:
    """The README's port, or a free one where somebody serves on it already."""
    with socket.socket() as probe:
        found = str(free_port()) if probe.connect_ex(("127.0.0.1", 8892)) == 0 else "8892"
    monkeypatch.setenv("PORT", found)
    monkeypatch.setenv("epoch", "2")
    return found


@pytest.mark.slow
def test_commands_of_the_readme_work_as_written(port, clone, tmp_path):
    out = tmp_path / "out"
    for block in blocks("README.md"):
        if block in NOT_RUN:
            continue
        with out.open("w") as file:  # not a pipe: a served model would hold it open
            # Minutes of training show no more about the command than seconds of it.
            typed = block.replace("budget=2m", "budget=20s").replace(":8892/", f":{port}/")
            done = subprocess.run(["sh", "-e"], input=typed, text=True, cwd=clone, stdout=file, timeout=900,
                                  stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"{block}\n{out.read_text()[-3000:]}"
        if block.startswith("sh train_serve.sh"):
            shown = out.read_text()
            assert "  verdict: {" in shown and "post_processed,total_score,stain,pit,scratch,crack" in shown
            assert (clone / "result/demo/segment/v_1/prediction/proof.png").stat().st_size > 1000
        if "curl" in block:
            assert '{"rle":[{"size":[240,320]' in out.read_text()
    assert (clone / "check.jpg").is_file()
    assert len(list((clone / "result/demo/segment/v_2/prediction/overlay").iterdir())) == 160


def test_files_that_the_contributors_page_names_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]*(?:\.[a-z]+)?|[a-z_.-]+\.(?:py|sh|md|txt|lock|yaml|toml))`", text))
    places = [ROOT, ROOT / "src" / "ss_poc"]
    assert len(named) > 40
    assert not [name for name in sorted(named) if not any((place / name).exists() for place in places)]
