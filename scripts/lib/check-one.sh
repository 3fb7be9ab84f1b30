#!/bin/bash
# check-one.sh COMMAND... FILE
# Runs the command, which must succeed and print nothing: a case of TAP, named after the file.
file=${!#}
if text=$("$@" 2>&1) && [[ -z $text ]]; then
    echo "ok $file"
else
    # At once, since others print as well.
    printf '%s\n' "not ok $file" "# ${text//$'\n'/$'\n'# }"
fi
