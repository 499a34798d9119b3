# What jq has and jaq lacks, or does otherwise. IN, INDEX, join, leaf_paths: from jq's builtin.jq
# (https://github.com/jqlang/jq, MIT licence).

# `strptime_` is jaq's `strptime`. %Q asks the time zones that this machine knows.
def strptime($format):
  if $format | isstring and contains("Q") then error("strptime: %Q depends on the machine")
  else strptime_($format) end;

def row_($format; f):
  if isarray | not then error("\(type) can't be written as \($format), only an array can") end
  | [.[] |
      if isstring then f
    elif isnumber or isboolean then tostring
    elif . == null then ""
    else error("\(type) can't be written in a row of \($format)") end];
def @csv: row_("csv"; "\"" + (split("\"") | join("\"\"")) + "\"") | join(",");
def @tsv:
  row_("tsv"; gsub("\\\\"; "\\\\") | gsub("\t"; "\\t") | gsub("\n"; "\\n") | gsub("\r"; "\\r"))
  | join("\t");

# jaq's writes null as "null".
def join($separator):
  reduce .[] as $item (null;
      (if . == null then "" else . + $separator end)
    + ($item | if . == null then "" elif isboolean or isnumber then tostring else . end)
  ) // "";
def toarray: if isarray then . else [.] end;
def trimstr($s): ltrimstr($s) | rtrimstr($s);
def IN(s): any(s == .; .);
def IN(src; s): any(src == s; .);
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] |= $row);
def INDEX(f): INDEX(.[]; f);
def leaf_paths: paths(scalars);
