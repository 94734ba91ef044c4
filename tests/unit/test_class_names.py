import re

from tests.serving import ROOT


def test_class_names_are_unique() -> None:
    places: dict[str, list[str]] = {}
    for path in (path for folder in ("server", "build", "bench") for path in sorted((ROOT / folder).rglob("*.py"))):
        for name in re.findall(r"^class (\w+)", path.read_text("utf-8"), re.MULTILINE):
            places.setdefault(name, []).append(str(path.relative_to(ROOT)))
    assert not {name: paths for name, paths in places.items() if len(paths) > 1}
