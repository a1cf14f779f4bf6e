#!/bin/sh
# A line of an access log in the common format, as JSON. Comments and noise
# end here: sed prints nothing, and grep's 1 is a drop.
sed -nE 's/^([^ ]+) [^ ]+ [^ ]+ \[([^]]+)\] "([A-Z]+) ([^ "]+)[^"]*" ([0-9]{3}) ([0-9]+|-)$/{"host":"\1","time":"\2","method":"\3","path":"\4","status":\5,"bytes":"\6"}/p' | grep .
