"""Markdown of the site: blocks, prose, links and tables."""

from __future__ import annotations

from edgeml_cli.site.markdown import Block, blocks, breakable, move_links, prose, table

DOCUMENT = """# A

Text with `code` and ``a ` b``.

1. A step:

    ```console title="Needs an AWS account"
    $ aws iot list-things
    ```

```python
x = "[no](link)"
```
"""


def test_blocks_have_language_title_body_and_line() -> None:
    assert list(blocks(DOCUMENT)) == [
        Block("console", "Needs an AWS account", "$ aws iot list-things\n", 8),
        Block("python", "", 'x = "[no](link)"\n', 12),
    ]


def test_prose_keeps_lines_and_drops_code() -> None:
    text = prose(DOCUMENT)
    assert text.count("\n") == DOCUMENT.count("\n")
    assert text.splitlines()[2] == "Text with        and          ."
    assert "aws" not in text and "link" not in text and "A step:" in text


def test_link_to_a_page_leads_to_that_page() -> None:
    pages = {"docs/a/x.md": "a/x.md", "libs/README.md": "reference/libs.md", "docs/p.svg": "p.svg"}
    text, broken = move_links("[r](../../libs/README.md#here) ![p](../p.svg) [w](https://a.b/c)", "docs/a/x.md", pages, lambda path: True)
    assert text == "[r](../reference/libs.md#here) ![p](../p.svg) [w](https://a.b/c)" and broken == []


def test_link_to_a_file_without_a_page_becomes_text() -> None:
    assert move_links("see [`the code`](../x.py).", "docs/a.md", {"docs/a.md": "a.md"}, {"x.py"}.__contains__) == ("see `the code`.", [])


def test_link_to_no_file_is_reported() -> None:
    _, broken = move_links("[a](gone.md)", "docs/a.md", {"docs/a.md": "a.md"}, lambda path: False)
    assert broken == ["docs/a.md: the link to gone.md leads to no file; correct it"]


def test_link_in_code_is_left_alone() -> None:
    text = "`[a](gone.md)`\n\n```\n[a](gone.md)\n```\n"
    assert move_links(text, "docs/a.md", {"docs/a.md": "a.md"}, lambda path: False) == (text, [])


def test_table_escapes_its_separator() -> None:
    assert table(("a", "b"), [("x|y", "two\nlines")]) == "| a | b |\n| --- | --- |\n| x\\|y | two lines |\n"


def test_name_breaks_only_where_it_may() -> None:
    assert breakable("assets.<name>.source", ".") == "<code>assets.<wbr>&lt;name&gt;.<wbr>source</code>"
