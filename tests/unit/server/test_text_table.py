from server.text_table import aligned


def test_names_are_left_and_figures_right() -> None:
    lines = [["", "speed", "size"], ["fp32", "9", "1,000"], ["int8-static", "100", ""]]
    assert list(aligned(lines)) == [
        "             speed   size",
        "fp32             9  1,000",
        "int8-static    100",
    ]
