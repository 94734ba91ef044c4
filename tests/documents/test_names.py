"""Routes, flags, settings, make targets and files named in the documents exist."""

import re
import tomllib
from pathlib import Path

import promql_parser
import pytest
import yaml

from server.errors import ServiceError
from server.settings import SETTINGS
from tests.documents.pages import PAGES, blocks, spans
from tests.serving import ROOT, Served

PARSERS = ("build/__main__.py", "bench/__main__.py", "bench/capacity.py", "server/migrate/options.py")
MORE_PARSERS = ("bench/gpu.sh", "tests/reliability/__main__.py", "server/verify/__main__.py", "server/choose/asked.py")
# Flags of docker, of kubectl, of pip and of argparse itself.
FOREIGN = {
    "--profile",
    "--build",
    "--build-arg",
    "--from-literal",
    "--help",
    "--no-deps",
    "--require-hashes",
    "--no-index",
}
FOREIGN |= {"--file", "--push", "--tag", "--sbom", "--provenance"}
_FOLDERS, _ENDINGS = "server|build|bench|tests|deploy|docs|requirements", "py|txt|in|md|yaml|yml|json|jsonl|conf|sh"
FILE = re.compile(rf"\b(?:{_FOLDERS})/[\w./-]+\.(?:{_ENDINGS})\b")
# Read by OpenTelemetry's SDK; and Envoy's name for least-request balancing.
OF_OTHERS = {"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}
OF_OTHERS |= {"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_BSP_MAX_QUEUE_SIZE", "LEAST_REQUEST"}


def words(page: Path) -> str:
    """Return the code of a page: its blocks and spans."""
    mine = [block.text for block in blocks() if ROOT / block.page == page]
    return "\n".join([*mine, *spans(page)])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_are_those_of_a_parser(page: Path) -> None:
    known = {flag for file in PARSERS + MORE_PARSERS for flag in _flags(file)}
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", words(page)))
    assert used <= known | FOREIGN


def _flags(file: str) -> set[str]:
    """Return the flags of an argparse parser, `--no-` forms included, or of a script's usage."""
    text = (ROOT / file).read_text("utf-8")
    switches = re.findall(r'"--([a-z-]+)", action=argparse\.BooleanOptionalAction', text)
    return {
        *re.findall(r'"(--[a-z-]+)"', text),
        *re.findall(r"^#   (--[a-z-]+) ", text, re.MULTILINE),
        *(f"--no-{name}" for name in switches),
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page: Path) -> None:
    named = set(FILE.findall(words(page)))
    # Placeholders are in capitals.
    wanted = {name for name in named if "NAME" not in name and "OBJECT" not in name}
    assert [name for name in sorted(wanted) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_verbs_of_make_are_there(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    verbs = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    used = set(re.findall(r"\bmake ([a-z][a-z-]*)\b(?!/)", words(page)))
    assert used <= verbs


def test_every_verb_of_make_is_in_a_document() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    verbs = set(re.findall(r"^([a-z][a-z-]*):.*## ", makefile, re.MULTILINE))
    said = "\n".join(words(page) for page in PAGES)
    assert sorted(verb for verb in verbs if f"make {verb}" not in said) == []


def test_readme_lists_every_route_and_no_other(int8: Served) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (`(?:GET|POST) /.*?) \|", readme, re.MULTILINE)
    listed = {tuple(route.split()) for row in rows for route in re.findall(r"`((?:GET|POST) /\S*)`", row)}
    document = int8.client.get("/openapi.json").json()
    answered = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    # `POST /` is documented in the text of /embed's row.
    assert listed == {route for route in answered if route[0] in {"GET", "POST"}} - {("POST", "/")}
    assert "`POST /` is the same" in readme


def test_the_options_of_a_question_are_those_that_are_taken(int8: Served) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    table = readme[readme.index("| option | meaning |") :].split("\n\n")[0]
    listed = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    document = int8.client.get("/openapi.json").json()
    schema = str(document["paths"]["/embed"]["post"]["requestBody"]) + str(document["components"]["schemas"])
    text_options = {"input_type", "prompt_name", "truncate"}
    assert listed == text_options | {"dimensions", "normalize", "output_dtype", "encoding_format"}
    assert all(f"'{option}'" in schema for option in listed)


def test_settings_that_are_named_exist() -> None:
    known = {row.name for row in SETTINGS}
    for page in PAGES:
        for name in re.findall(r"`([A-Z]+_[A-Z_]+)`", page.read_text("utf-8")):
            assert name in known or name in elsewhere(), f"{page.name}: {name}"


def elsewhere() -> set[str]:
    """Return variables that are read by other programs than the server."""
    files = ["Makefile", "compose.yaml", "Dockerfile.cpu", "deploy/memory.yaml", "bench/host.py"]
    files += ["tests/faults/test_fuzz_http.py"]
    text = "\n".join((ROOT / file).read_text("utf-8") for file in files)
    text += "\n".join(path.read_text("utf-8") for path in (ROOT / "server" / "migrate").rglob("*.py"))
    return set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", text)) | OF_OTHERS


def test_kinds_of_errors_that_are_named_exist() -> None:
    kinds = {one.error_type for one in subclasses(ServiceError)}
    for page in PAGES:
        for kind in re.findall(r'"error_type": "(\w+)"', page.read_text("utf-8")):
            assert kind in kinds, f"{page.name}: {kind}"


def subclasses(kind: type[ServiceError]) -> set[type[ServiceError]]:
    return {kind}.union(*(subclasses(one) for one in kind.__subclasses__()))


def test_examples_of_queries_and_scrapes_are_valid(int8: Served) -> None:
    metrics = int8.client.get("/metrics").text
    for block in blocks("text"):
        for line in block.text.splitlines():
            query = re.split(r"(?=\b(?:rate|histogram_quantile)\()", line, maxsplit=1)[1]
            promql_parser.parse(query)
            assert all(name in metrics for name in re.findall(r"embedding_\w+", query))
    (scrape,) = blocks("yaml")
    (job,) = yaml.safe_load(scrape.text)["scrape_configs"]
    assert set(job) == {"job_name", "authorization", "static_configs"}


def test_what_contributors_are_sent_to_is_there() -> None:
    page = " ".join((ROOT / "CONTRIBUTING.md").read_text("utf-8").split())
    sent = re.findall(r"`(\w+)(?:\([^`]*\))?` (?:in|of) `([\w/.]+\.py)`", page)
    assert len(sent) >= 12
    assert [where for where in sent if where[0] not in (ROOT / where[1]).read_text("utf-8")] == []


def test_the_architecture_names_every_module_of_the_build() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    modules = {path.stem for path in (ROOT / "build").glob("[a-z]*.py")}
    assert sorted(module for module in modules if not re.search(rf"\b{module}\b", page)) == []


@pytest.mark.parametrize(
    ("heading", "contract"), [("## The rooms of the server", "rooms"), ("### The rooms of the migration", "migration")]
)
def test_the_architecture_draws_the_rooms_that_import_linter_holds(heading: str, contract: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    section = re.split(r"\n##+ ", page.partition(f"\n{heading}\n")[2])[0]
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (rows,) = (one["layers"] for one in table["contracts"] if one["id"] == contract)
    assert section.split("```")[1].split("\n")[1:-1] == rows
    first = re.findall(r"^\| (\[.*?) \| ", section, re.MULTILINE)
    listed = [name for cell in first for name in re.findall(r"\[`(\w+)/?`\]", cell)]
    assert sorted(listed) == sorted(room for row in rows for room in row.split(" | "))
