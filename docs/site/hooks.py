"""What the site has of the repository beside docs/: three pages, and files that pages link to."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTSIDE = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"\]\((?!https?:|#)(?P<path>[^)#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the files, in the folder `repository` of the site."""
    root = Path(config.config_file_path).parent
    texts = [("docs", file.content_string) for file in files.documentation_pages()]
    for name, page in OUTSIDE.items():
        text = (root / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_as_of_the_site(text, root)))
        texts.append(("", text))
    for folder, text in texts:
        for name in sorted(_linked(text, root, root / folder)):
            if files.get_file_from_path(f"repository/{name}") is None:
                source = str(root / name)
                files.append(File.generated(config, f"repository/{name}", abs_src_path=source))
    return files


def on_page_markdown(markdown: str, *, config: MkDocsConfig, **_: object) -> str:
    """Lead links out of docs/, which are those of the repository, to what the site has of it."""
    return re.sub(
        r"\]\(\.\./([^)]+)",
        lambda found: "](" + _place(found.group(1), Path(config.config_file_path).parent),
        markdown,
    )


def on_page_content(html: str, *, page: Page, **_: object) -> str:
    """Let the tables of the settings, which are generated, be told from others by their style."""
    return f'<div class="stacked">{html}</div>' if page.file.src_uri == "settings.md" else html


def on_post_page(output: str, **_: object) -> str:
    """Have what lets the search work from a disk here instead of on a server of others."""
    return output.replace("https://unpkg.com/iframe-worker/shim", "site/worker.js")


def on_post_template(output_content: str, **_: object) -> str:
    """Do so in the page of what is not found, too."""
    return on_post_page(output_content)


def _as_of_the_site(text: str, root: Path) -> str:
    """Write the links of a page that lies beside docs/ as those of a page inside."""
    return _LINK.sub(lambda found: "](" + _place(found["path"], root), text)


def _place(link: str, root: Path) -> str:
    """Where the site has a file of the repository; what is no such file stays as it is."""
    path, mark, anchor = link.partition("#")
    if path.startswith("docs/"):
        return path.removeprefix("docs/") + mark + anchor
    if path in OUTSIDE:
        return OUTSIDE[path] + mark + anchor
    return f"repository/{link}" if (root / path).is_file() else f"../{link}"


def _linked(text: str, root: Path, folder: Path) -> set[str]:
    """Files of the repository, outside docs/ and no pages, that a page links to."""
    found = set()
    for link in _LINK.finditer(text):
        path = (folder / link["path"]).resolve()
        if path.is_file() and path.is_relative_to(root) and not path.is_relative_to(root / "docs"):
            name = str(path.relative_to(root))
            found |= {name} - set(OUTSIDE)
    return found
