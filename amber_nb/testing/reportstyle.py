"""The report's style sheet: light and dark, narrow and wide, on paper; no script, no font, no image."""

__all__ = ["STYLE"]

# Every colour of text has 4.5:1 or more on each ground it stands on; tests/browser/test_report_page.py asks axe.
_LIGHT = """
--page:#f6f7f9;--card:#fff;--text:#1c2128;--quiet:#57606a;--line:#d9dee4;--faint:#eef1f4;--link:#0a56b3;
--same:#1a6b3a;--same-bg:#e3f3e8;--drifted:#8a4600;--drifted-bg:#fdf0db;--flaky:#6639a6;--flaky-bg:#f1eafb;
--failed:#a81b26;--failed-bg:#fde8e8;--old:#fff2f0;--old-word:#ffc9c4;--new:#eefaf1;--new-word:#b2e6c2;
--same-bar:#4fa96e;--drifted-bar:#e09b3d;--flaky-bar:#9a74d3;--failed-bar:#d9545f;
--jp-mirror-editor-keyword-color:#0b6b2d;--jp-mirror-editor-string-color:#a5262b;
--jp-mirror-editor-number-color:#0a6b47;--jp-content-font-color2:#57606a;--jp-mirror-editor-def-color:#1a56b8;
--jp-mirror-editor-builtin-color:#0b6b2d;--jp-mirror-editor-property-color:#1a56b8;
--jp-mirror-editor-operator-color:#8232b5"""
_DARK = """
--page:#0f1318;--card:#171c23;--text:#e4e8ed;--quiet:#9ba6b2;--line:#2e3641;--faint:#1e252e;--link:#7db5f5;
--same:#7fd6a0;--same-bg:#15301f;--drifted:#f0b866;--drifted-bg:#36270f;--flaky:#c5a8f0;--flaky-bg:#2a2140;
--failed:#ff9a9a;--failed-bg:#3d191c;--old:#2b1a1c;--old-word:#6d2a2e;--new:#14261b;--new-word:#1f5a35;
--same-bar:#3d8f5c;--drifted-bar:#b87a28;--flaky-bar:#7f5bb8;--failed-bar:#b8434d;
--jp-mirror-editor-keyword-color:#7fd6a0;--jp-mirror-editor-string-color:#ff9d94;
--jp-mirror-editor-number-color:#7ad9b4;--jp-content-font-color2:#9ba6b2;--jp-mirror-editor-def-color:#8fbcff;
--jp-mirror-editor-builtin-color:#7fd6a0;--jp-mirror-editor-property-color:#8fbcff;
--jp-mirror-editor-operator-color:#d3a5f7"""
_REST = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--page);color:var(--text);font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
header,main,footer{max-width:1480px;margin:0 auto;padding:0 32px}
header{padding-top:32px}
main{padding-bottom:8px}
footer{padding-top:8px;padding-bottom:40px;color:var(--quiet);font-size:13px}
h1{margin:0;font-size:24px;line-height:1.25;font-weight:650;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{margin:36px 0 10px;font-size:16px;font-weight:650;overflow-wrap:anywhere}
h2 small{margin-left:.6em;font-weight:400;font-size:13px;color:var(--quiet)}
h3{margin:20px 0 6px;font-size:12px;font-weight:650;color:var(--quiet)}
p{margin:.4em 0}
a{color:var(--link)}
code,pre,.diff{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:3px}
.made{color:var(--quiet)}
.tiles{display:flex;flex-wrap:wrap;gap:10px;margin:22px 0 0;padding:0;list-style:none}
.tiles li{flex:1 1 128px;padding:12px 16px;background:var(--card);border:1px solid var(--line);border-radius:8px}
.tiles li.wide{flex:2 1 250px}
.tiles b{display:block;font-size:26px;line-height:1.2;font-weight:620}
.tiles .wide b{font-size:19px;line-height:31px}
.tiles span{color:var(--quiet);font-size:13px}
.tiles .drifted b{color:var(--drifted)}.tiles .flaky b{color:var(--flaky)}.tiles .failed b{color:var(--failed)}
.tiles .none b{color:var(--quiet);font-weight:400}
.bar{display:flex;gap:2px;height:8px;margin:14px 0 0;border-radius:4px;overflow:hidden}
.bar i{min-width:4px}
.bar .same{background:var(--same-bar)}.bar .drifted{background:var(--drifted-bar)}
.bar .flaky{background:var(--flaky-bar)}.bar .failed{background:var(--failed-bar)}
.filter{display:flex;flex-wrap:wrap;gap:4px 18px;align-items:center;margin-top:18px}
.filter label{display:inline-flex;gap:7px;align-items:center;cursor:pointer}
.filter input{margin:0;width:15px;height:15px;accent-color:var(--link)}
body:has(#changes:checked) .same.row,body:has(#changes:checked) .quiet{display:none}
.list{border:1px solid var(--line);border-radius:8px;background:var(--card);overflow:hidden}
.rows,.rows>thead,.rows>tbody{display:block}
.rows>thead>tr,.rows>tbody>tr{display:grid;grid-template-columns:86px 118px minmax(0,1fr) 150px 92px 150px 206px}
.rows>tbody>tr.more{display:block}
.rows>tbody>tr.more>td{display:block}
.rows>thead{background:var(--faint);border-bottom:1px solid var(--line)}
.rows>thead th{padding:8px 12px;text-align:left;font-size:12px;font-weight:600;color:var(--quiet)}
.rows>tbody+tbody{border-top:1px solid var(--line)}
.rows>tbody>tr>td,.rows>tbody>tr>th{padding:9px 12px 0;text-align:left;font-weight:400;overflow-wrap:anywhere}
.rows>tbody>tr.more>td{padding:2px 0 0}
.c-ask{font-weight:500}
.empty{color:var(--quiet);font-style:italic}
.pill{display:inline-block;padding:1px 9px;border-radius:10px;font-size:12.5px;font-weight:600;white-space:nowrap}
.pill.same{color:var(--same);background:var(--same-bg)}.pill.drifted{color:var(--drifted);background:var(--drifted-bg)}
.pill.flaky{color:var(--flaky);background:var(--flaky-bg)}.pill.failed{color:var(--failed);background:var(--failed-bg)}
.q{color:var(--quiet)}
.how{font-size:12.5px}
details>summary{cursor:pointer}
.more>td>details>summary,.more>td>p{margin:0;padding:0 12px 9px 216px;color:var(--quiet);overflow-wrap:anywhere}
.more>td>details>summary:hover,.inner>summary:hover{color:var(--text)}
.more>td>details[open]>summary{color:var(--text)}
.body{padding:2px 20px 20px;border-top:1px solid var(--faint)}
.scroll{overflow-x:auto}
.diff{width:100%;border-collapse:separate;border-spacing:0;table-layout:fixed;font-size:12.5px;line-height:1.55;
border:1px solid var(--line);border-radius:6px;overflow:hidden}
.diff th{padding:5px 10px;text-align:left;font:600 12px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
color:var(--quiet);background:var(--faint);border-bottom:1px solid var(--line)}
.diff td{padding:1px 10px 1px 26px;vertical-align:top;white-space:pre-wrap;overflow-wrap:anywhere;tab-size:4;
position:relative}
.diff td::after{content:"\\200b"}
.diff td:last-child,.diff th:last-child{border-left:1px solid var(--line)}
.diff td.gone{background:var(--old)}.diff td.come{background:var(--new)}.diff td.none{background:var(--faint)}
.diff .sign{position:absolute;left:10px;color:var(--quiet)}
.diff td.skip{padding:3px 10px;color:var(--quiet);background:var(--faint);white-space:normal;border-left:0;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;font-size:12px;text-align:center}
del{background:var(--old-word);border-radius:2px;text-decoration:line-through;text-decoration-thickness:1px}
ins{background:var(--new-word);border-radius:2px;text-decoration:underline;text-decoration-thickness:1px;
text-underline-offset:3px}
.facts{width:100%;border-collapse:collapse;font-size:13px}
.facts th,.facts td{padding:4px 18px 4px 0;text-align:left;vertical-align:top;font-weight:400;
border-bottom:1px solid var(--faint)}
.facts th{color:var(--quiet);white-space:nowrap}
.facts td{min-width:70px}
.facts thead th{font-weight:600;font-size:12px}
.facts .model{min-width:100px;overflow-wrap:anywhere;max-width:260px}
.facts .why{min-width:180px;max-width:420px;overflow-wrap:anywhere}
.inner{margin-top:14px}
.inner>summary{color:var(--quiet);font-size:12px;font-weight:650}
.two{display:grid;grid-template-columns:1fr 1fr;gap:16px;margin-top:8px}
.two>section{min-width:0;padding:10px 14px;border:1px solid var(--line);border-radius:6px}
.two h4{margin:0 0 8px;font-size:12px;font-weight:600;color:var(--quiet)}
.amber-answer{overflow-wrap:anywhere;font-size:13.5px}
.amber-answer p,.amber-answer ul,.amber-answer ol{margin:0 0 .8em}
.amber-answer h1,.amber-answer h2,.amber-answer h3,.amber-answer h4,.amber-answer h5,.amber-answer h6{
margin:.9em 0 .4em;font-size:15px;font-weight:650;color:inherit}
.amber-md>:last-child{margin-bottom:0}
.amber-answer pre{font-size:12.5px;white-space:pre-wrap;overflow-wrap:anywhere}
.amber-answer table{border-collapse:collapse}
.amber-answer th,.amber-answer td{padding:3px 10px;border:1px solid var(--line)}
.amber-answer blockquote{margin:0 0 .8em;padding-left:12px;border-left:3px solid var(--line)}
@media(max-width:1180px){
.c-how,.c-like{display:none}
.rows>thead>tr,.rows>tbody>tr{grid-template-columns:76px 118px minmax(0,1fr) 148px 202px}
.more>td>details>summary,.more>td>p{padding-left:206px}
}
@media(max-width:760px){
header,main,footer{padding-left:14px;padding-right:14px}
.c-tokens,.c-time,.rows>thead .c-ask{display:none}
.rows>thead>tr,.rows>tbody>tr{grid-template-columns:86px minmax(0,1fr)}
.rows>tbody>tr>.c-ask{grid-column:1/-1;padding-top:3px}
.more>td>details>summary,.more>td>p{padding-left:12px}
.body{padding:0 8px 14px}
.tiles li,.tiles li.wide{padding:9px 12px;flex:1 1 40%}
.tiles .wide b{font-size:16px}
.two{grid-template-columns:1fr}
.diff,.diff tbody{display:block}
.diff thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
.diff tr{display:grid;grid-template-columns:minmax(0,1fr)}
.diff td:last-child{border-left:0}
.diff tr.equal td:last-child,.diff td.none{display:none}
}
@media print{
body{background:#fff}.filter{display:none}.list{overflow:visible}
.row{break-inside:auto}.bar i,.pill,del,ins,.diff td{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""
STYLE = (
    f":root{{color-scheme:light dark;{_LIGHT.strip()}}}\n@media(prefers-color-scheme:dark){{:root{{{_DARK.strip()}}}}}"
    f"{_REST.rstrip()}\n"
)
