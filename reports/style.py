"""Style of every page, for light and dark, screen, phone and paper, without anything fetched from elsewhere."""

from reports.format import escape_html

_LIGHT = (
    "--ink:#1b1f24;--paper:#fff;--soft:#59636e;--line:#d9dee3;--faint:#f4f6f8;--link:#0b5c80;--rule:#1b1f24;"
    "--good:#116329;--good-back:#eafbee;--bad:#a40e26;--bad-back:#fdecee;--open:#7a4d00;--open-back:#fff6e0;"
    "--ceiling:#eef6fb;--s0:#0b6e99;--s1:#b3541e;--s2:#5b7f2b;--s3:#7b4fa3"
)
_DARK = (
    "--ink:#e3e8ee;--paper:#12161b;--soft:#9aa6b2;--line:#333c46;--faint:#1b2128;--link:#7cc4ea;--rule:#9aa6b2;"
    "--good:#7fdc9b;--good-back:#12291a;--bad:#ff9aa8;--bad-back:#331419;--open:#f0c674;--open-back:#2e2510;"
    "--ceiling:#16242e;--s0:#5cb8e6;--s1:#f0955a;--s2:#a3cc66;--s3:#c39ae8"
)

STYLE = f"""<style>
.report{{{_LIGHT};font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
color:var(--ink);background:var(--paper)}}
@media screen and (prefers-color-scheme:dark){{.report{{{_DARK}}}}}
.report a{{color:var(--link)}}
.report table{{border-collapse:collapse;margin:.6em 0;font-variant-numeric:tabular-nums;background:none;color:inherit}}
.report th,.report td{{padding:.32em .75em;border:0;border-bottom:1px solid var(--line);text-align:left;
vertical-align:top;max-width:30em}}
.report thead th{{border-bottom:2px solid var(--rule);vertical-align:bottom;font-weight:600}}
.report tr.group td{{font-style:italic;padding-top:.9em}}
.report tr.ceiling td{{background:var(--ceiling)}}
.report tr.idle td{{color:var(--soft)}}
.report .text{{min-width:14em}}
.report .small{{font-size:.82em;color:var(--soft);font-weight:400}}
.report .best{{font-weight:700}}
.report .badge{{display:inline-block;padding:0 .55em;border-radius:.8em;font-size:.85em;white-space:nowrap;
border:1px solid var(--soft);color:var(--soft);background:var(--faint)}}
.report .holds,.report .agrees,.report .measured,.report .done
{{color:var(--good);border-color:var(--good);background:var(--good-back)}}
.report .fails,.report .differs,.report .failed,.report .unreadable
{{color:var(--bad);border-color:var(--bad);background:var(--bad-back)}}
.report .undecided,.report .within,.report .running{{color:var(--open);border-color:var(--open);background:var(--open-back)}}
.report .watermark{{background:#a40e26;color:#fff;font-weight:700;padding:.4em 1em;letter-spacing:.06em}}
.report pre{{background:var(--faint);color:inherit;padding:.7em;font-size:.8em;overflow-x:auto;max-height:30em}}
.report .unbroken{{white-space:nowrap}}
.report .scroll{{overflow-x:auto}}
.report ul.notes{{list-style:none;padding:0}}
.report .panels{{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:1rem}}
.report figure{{margin:0;break-inside:avoid}}
.report figcaption{{font-size:.82em;color:var(--soft);overflow-wrap:anywhere}}
.report svg{{width:100%;height:auto;max-width:26rem;color:var(--soft)}}
.report svg text{{fill:currentColor;font-size:11px}}
.report svg .grid{{stroke:var(--line)}}
.report svg .line{{fill:none;stroke-width:1.5;stroke-linejoin:round}}
.report svg .held-out{{stroke-dasharray:5 3}}
.report svg .dot{{stroke-width:6;stroke-linecap:round}}
.report svg .s0{{stroke:var(--s0)}}.report svg .s1{{stroke:var(--s1)}}
.report svg .s2{{stroke:var(--s2)}}.report svg .s3{{stroke:var(--s3)}}
.report summary{{cursor:pointer;overflow-wrap:anywhere}}
@media print{{.report{{font-size:10pt}}.report .scroll{{overflow:visible}}.report tr{{break-inside:avoid}}
.report table{{font-size:8pt}}.report th,.report td{{padding:.15em .35em}}.report .text{{min-width:0}}
.report .badge{{white-space:normal}}.report details pre,.report .no-print{{display:none}}
.report details::details-content{{content-visibility:visible;block-size:auto}}}}
</style>"""

# Tables that a phone shows one cell below another, with the text before each cell in place of the heading.
_STACKED = {
    "differed": ("", "published: ", "here: ", "why: "),
    "claims": ("", "", "", "published: "),
    "tables": ("", "", "", "claims: ", "computed: ", "left: "),
    "missing": ("", "", ""),
}


def _stacked(kind: str, labels: tuple[str, ...]) -> str:
    table = f".report .{kind}"
    rules = [
        f"{table},{table} tbody,{table} tr,{table} td{{display:block}}{table} thead,{table} td:empty{{display:none}}",
        f"{table} tr{{border-bottom:1px solid var(--line);padding:.35em 0}}",
        f"{table} td{{max-width:none;min-width:0;border:0;padding:.05em .2em}}{table} td:first-child{{font-weight:600}}",
        f"{table} .unbroken{{white-space:normal}}",
    ]
    named = ((i, label) for i, label in enumerate(labels, 1) if label)
    rules += [f'{table} td:nth-child({i})::before{{content:"{label}";color:var(--soft)}}' for i, label in named]
    return "\n".join(rules)


PAGE_STYLE = """<style>
:root{color-scheme:light dark}
html{background:#fff}
@media screen and (prefers-color-scheme:dark){html{background:#12161b}}
body{margin:0 auto;max-width:76rem;padding:1.5rem 2rem 4rem;overflow-wrap:break-word}
h1{font-size:1.7em;line-height:1.25;margin:.2em 0}
h2{font-size:1.25em;margin:2em 0 .3em;padding-bottom:.2em;border-bottom:1px solid var(--line)}
h3{font-size:1.05em;margin:1.4em 0 .2em}
h2,h3,.sheet{scroll-margin-top:.6rem}
a.anchor-link{display:none}
img{max-width:100%;height:auto;background:#fff}
code{background:var(--faint);padding:.1em .35em;border-radius:3px;overflow-wrap:anywhere}
.dataframe{font-size:.8em}
.output_subarea{overflow-x:auto}
nav{display:flex;flex-wrap:wrap;gap:.2em 1em;font-size:.9em;margin-bottom:1rem}
nav [aria-current]{font-weight:700}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(10.5em,1fr));gap:.8em 1em;margin:1em 0}
.figures b{display:block;font-size:1.4em;line-height:1.2;font-variant-numeric:tabular-nums}
.bar{display:inline-block;width:6em;height:.5em;background:var(--line);border-radius:.3em;overflow:hidden}
.bar i{display:block;height:100%;background:var(--s0)}
.results td:first-child{min-width:8em}
:target{outline:2px solid var(--link);outline-offset:3px}
.sheets{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,30rem),1fr));gap:0 1.5rem}
@media (max-width:40rem){.scroll img{max-width:none;width:46rem}body{padding:.8rem .9rem 3rem}
.report th,.report td{padding:.3em .5em}.report .text{min-width:12em}
.results td:first-child,.results th:first-child{position:sticky;left:0;background:var(--paper);max-width:9em;z-index:1}
.results tr.group td:first-child{position:static;max-width:none}
"""
PAGE_STYLE += "\n".join(_stacked(kind, labels) for kind, labels in _STACKED.items())
PAGE_STYLE += """}
@media print{body{max-width:none;padding:0}nav{display:none}.results td:first-child{min-width:5em}
h2,h3{break-after:avoid}img{break-inside:avoid}}
</style>"""


def page(title: str, body: str, watermark: str = "", navigation: str = "") -> str:
    """Return a whole HTML document.

    Args:
        title: text of the title, escaped here.
        body: HTML with its text already escaped.
        watermark: text above and below the body; none if empty.
        navigation: HTML at the top of the page.
    """
    line = banner(watermark)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape_html(title)}</title>{STYLE}{PAGE_STYLE}</head>"
        f'<body class="report">{navigation}{line}{body}{line}</body></html>\n'
    )


def banner(watermark: str) -> str:
    """Return the watermark as a red line; empty if there is none."""
    return f'<div class="watermark">{escape_html(watermark)}</div>' if watermark else ""


def badge(text: str, kind: str, tip: str = "") -> str:
    """Return a badge whose color depends on the first word of ``kind``."""
    title = f' title="{escape_html(tip)}"' if tip else ""
    return f'<span class="badge {escape_html(kind.split()[0])}"{title}>{escape_html(text)}</span>'


def line(cells: list[str], kind: str = "", text: tuple[int, ...] = ()) -> str:
    """Return a table line from HTML cells; the columns in ``text`` hold sentences and stay wide enough to read."""
    start = f'<tr class="{kind}">' if kind else "<tr>"
    columns = (f'<td class="text">{c}</td>' if i in text else f"<td>{c}</td>" for i, c in enumerate(cells))
    return start + "".join(columns) + "</tr>"


def grid(heads: list[str], rows: list[str], kind: str = "") -> str:
    """Return a table that scrolls inside its own box on a narrow screen."""
    head = "".join(f"<th>{h}</th>" for h in heads)
    body = "".join(rows)
    opening = f'<table class="{kind}">' if kind else "<table>"
    return (
        f'<div class="scroll" tabindex="0">{opening}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )
