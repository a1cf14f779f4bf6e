complete -c faas-trigger -l to -d 'Queue to send to' -r
complete -c faas-trigger -l chain -d 'Start invocations of this chain instead [default: the run\'s own file]' -r -F
complete -c faas-trigger -l run -d 'The open run they belong to' -r
complete -c faas-trigger -l via -d 'Where that run is [default: where it was opened, or what the chain says]' -r
complete -c faas-trigger -l redrive -d 'Send the dead letters of this file once more, each to the function that failed, without what its failure added' -r -F
complete -c faas-trigger -l max-body -d 'Largest body of an HTTP request [default: 16MiB]' -r
complete -c faas-trigger -s n -l count -d 'Stop after this many events' -r
complete -c faas-trigger -l timeout -d 'Give up when nothing moved for this long (exit 75); 0 takes what is there. With --wait, how long a request waits [default: 30s]' -r
complete -c faas-trigger -l dead -d 'File for lines that are no events' -r -F
complete -c faas-trigger -s i -l input -d 'Shape of stdin' -r -f -a "auto\t'A line is an envelope if it is a JSON object with `specversion`; any other line is a bare body'
json\t'Each line is an envelope'
lines\t'Each line is a body, never parsed'
nul\t'Bodies end with a NUL byte'
raw\t'All of the input is one body'
frames\t'Bodies follow their 32-bit big-endian lengths'"
complete -c faas-trigger -s o -l output -d 'Shape of stdout' -r -f -a "json\t'One envelope a line'
lines\t'One body a line'
nul\t'Bodies, each followed by a NUL byte'
raw\t'Bodies with nothing between them'
frames\t'Bodies after their 32-bit big-endian lengths'"
complete -c faas-trigger -l max-line -d 'Longest line, body or frame read from stdin' -r
complete -c faas-trigger -l ready-fd -d 'Write a line to this descriptor when ready to take events' -r
complete -c faas-trigger -l max-in-flight -d 'Most invocations under way at once' -r
complete -c faas-trigger -l window-fd -d 'Read from this descriptor how many invocations have ended' -r
complete -c faas-trigger -l status-fd -d 'Tell the progress to this descriptor' -r
complete -c faas-trigger -l generate -d 'Print a man page or a completion script' -r -f -a "man\t'The man page, roff'
bash\t'Completion for bash'
zsh\t'Completion for zsh'
fish\t'Completion for fish'"
complete -c faas-trigger -l wait -d 'Answer each HTTP request with the results of its invocation, as NDJSON (502 when a branch failed, 504 after the timeout)'
complete -c faas-trigger -l exact -d 'Keep bodies to the byte: a trailing line feed stays, JSON that does not fit on a line goes as base64'
complete -c faas-trigger -s q -l quiet -d 'Only failures on stderr'
complete -c faas-trigger -s v -l verbose -d 'Say what came of it at the end'
complete -c faas-trigger -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-trigger -s V -l version -d 'Print version'
