complete -c faas-invoke -l from -d 'Queue to take messages from, or - for stdin' -r
complete -c faas-invoke -l to -d 'Queue to send outputs to, or - for stdout' -r
complete -c faas-invoke -l dead -d 'Queue or file for dead letters [default: FROM.dead for a queue, PROGRAM.dead.ndjson for stdin]' -r
complete -c faas-invoke -s j -l jobs -d 'Calls at once' -r
complete -c faas-invoke -l timeout -d 'Time for one call; then its whole process group is killed' -r
complete -c faas-invoke -l retries -d 'Attempts after the first' -r
complete -c faas-invoke -l backoff -d 'First wait between attempts; it doubles, with full jitter, up to 30s' -r
complete -c faas-invoke -l deliver -d 'How often a message may be delivered to the function [default: at-least-once, or what the chain says]' -r -f -a "at-most-once\t'Settled before the function runs: never twice, perhaps not at all'
at-least-once\t'Settled when its outputs have arrived: perhaps twice'
exactly-once\t'Inside the middleware, where it can'"
complete -c faas-invoke -l emit -d 'What the program prints: one body, a body a line, an event a line' -r -f -a "one\t'One body'
lines\t'A body on each line'
events\t'An event on each line'"
complete -c faas-invoke -l worker -d 'How the function is kept and called [default: http with --url, else exec]' -r -f -a "exec\t'A process for each message'
filter\t'One warm process, a line in, a line out'
http\t'HTTP POST'"
complete -c faas-invoke -l url -d 'Call this URL instead of a program; with a program too, the program is started and finds its port in PORT' -r
complete -c faas-invoke -l pipeline -d 'Lines in flight of a filter whose answers are events with the same ids' -r
complete -c faas-invoke -l keep -d 'How long a warm function is kept' -r -f -a "adaptive\t'While messages come faster than it starts and runs, and a second longer'
always\t'As long as the invoker; it is started before the first message'
never\t'For one call'"
complete -c faas-invoke -s n -l count -d 'Stop after this many messages' -r
complete -c faas-invoke -l idle -d 'Stop after this long without a message' -r
complete -c faas-invoke -l chain -d 'Serve functions of this chain file' -r -F
complete -c faas-invoke -l run -d 'The open run to join' -r
complete -c faas-invoke -l via -d 'Where the run is, instead of what the chain says of `*`' -r
complete -c faas-invoke -l functions -d 'Serve only these functions [default: all]' -r
complete -c faas-invoke -s i -l input -d 'Shape of stdin' -r -f -a "auto\t'A line is an envelope if it is a JSON object with `specversion`; any other line is a bare body'
json\t'Each line is an envelope'
lines\t'Each line is a body, never parsed'
nul\t'Bodies end with a NUL byte'
raw\t'All of the input is one body'
frames\t'Bodies follow their 32-bit big-endian lengths'"
complete -c faas-invoke -s o -l output -d 'Shape of stdout' -r -f -a "json\t'One envelope a line'
lines\t'One body a line'
nul\t'Bodies, each followed by a NUL byte'
raw\t'Bodies with nothing between them'
frames\t'Bodies after their 32-bit big-endian lengths'"
complete -c faas-invoke -l max-line -d 'Longest line, body or frame read from stdin' -r
complete -c faas-invoke -l ready-fd -d 'Write a line to this descriptor when ready to take messages' -r
complete -c faas-invoke -l report-fd -d 'Tell this descriptor at the end what calls cost' -r
complete -c faas-invoke -l generate -d 'Print a man page or a completion script' -r -f -a "man\t'The man page, roff'
bash\t'Completion for bash'
zsh\t'Completion for zsh'
fish\t'Completion for fish'"
complete -c faas-invoke -s k -l keep-order -d 'Hand over in the order of intake; a retry holds up what follows. Within this invoker only'
complete -c faas-invoke -l ahead -d 'Start the next process before its message is there; only for programs that do nothing before they read, and need no CE_ variables'
complete -c faas-invoke -l event -d 'Give the program the whole event as an envelope instead of the body'
complete -c faas-invoke -l exact -d 'Keep bodies to the byte: a trailing line feed stays, JSON that does not fit on a line goes as base64'
complete -c faas-invoke -s q -l quiet -d 'Only failures on stderr'
complete -c faas-invoke -s v -l verbose -d 'Say what came of it at the end'
complete -c faas-invoke -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-invoke -s V -l version -d 'Print version'
