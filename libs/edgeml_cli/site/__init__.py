"""The documentation: pages generated from declarations, links, the picture of the demo, and the checks of commands and prose.

`mkdocs build --strict` builds the site; `mkdocs_hooks` is its only entry point here.
"""
