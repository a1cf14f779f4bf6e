# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_faas_queue_global_optspecs
    string join \n generate= h/help V/version
end

function __fish_faas_queue_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_faas_queue_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_faas_queue_using_subcommand
    set -l cmd (__fish_faas_queue_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c faas-queue -n "__fish_faas_queue_needs_command" -l generate -d 'Print a man page or a completion script' -r -f -a "man\t'The man page, roff'
bash\t'Completion for bash'
zsh\t'Completion for zsh'
fish\t'Completion for fish'"
complete -c faas-queue -n "__fish_faas_queue_needs_command" -s h -l help -d 'Print help'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -s V -l version -d 'Print version'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "new" -d 'Create queues'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "ls" -d 'List queues: depth, messages held, readers'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "stat" -d 'Show one queue'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "peek" -d 'Show messages and take nothing'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "tail" -d 'Show messages as they come, and take nothing'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "top" -d 'Watch queues on a full screen, and look into them'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "ping" -d 'Measure round trips through a middleware'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "put" -d 'Send the events or lines on stdin'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "get" -d 'Take events and print them'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "cp" -d 'Copy messages to another queue; they stay where they are'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "mv" -d 'Move messages to another queue'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "redrive" -d 'Send dead letters back to where they failed'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "purge" -d 'Remove messages; the queue stays'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "rm" -d 'Remove queues and all they hold'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "profile" -d 'Give servers names, and say where their passwords are'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand new" -l capacity -d 'Messages a queue can hold; refused where that cannot be' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand new" -l size -d 'Bytes a message may have before its body goes beside the queue' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand new" -l chain -d 'Create the queues of a run of this chain file instead' -r -F
complete -c faas-queue -n "__fish_faas_queue_using_subcommand new" -l run -d 'Name of that run' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand new" -l via -d 'Where its queues are, instead of what the chain says of `*`' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand new" -l order -d 'Order of delivery; refused where that cannot be' -r -f -a "fifo\t'First in, first out'
lifo\t'Last in, first out'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand new" -l when-full -d 'What happens to a sender that finds it full; refused where that cannot be' -r -f -a "block\t'It waits for room'
reject\t'It is told so'
drop-oldest\t'The oldest message makes room'
drop-newest\t'The new message is dropped'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand ls" -s o -l output -d 'Shape of the list' -r -f -a "table\t'A table'
json\t'A JSON object a line'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand ls" -s v -l verbose -d 'What the middleware can do, too'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand stat" -l over -d 'Watch it for this long to tell how much comes and goes in a second' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand stat" -s o -l output -d 'Shape of the answer' -r -f -a "table\t'A table'
json\t'A JSON object a line'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand stat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand peek" -s n -l count -d 'How many' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand peek" -l at -d 'Where to begin' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand peek" -l until -d 'Where to end, not counting what is there' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand peek" -l grep -d 'Only messages whose body, id, source, type or attributes match' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand peek" -l where -d 'Only messages for which this jq program says true; `.` is the event' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand peek" -l jq -d 'Print what this jq program makes of each event' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand peek" -s f -l template -d 'Print this for each message; `{{name}}` stands for an attribute, `{{data.x}}` for a part of the body, `{{place}}`, `{{sent}}`, `{{size}}` for what the middleware says' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand peek" -s o -l output -d 'Shape of stdout' -r -f -a "json\t'One envelope a line [default, but on a terminal]'
lines\t'One body a line'
nul\t'Bodies, each followed by a NUL byte'
raw\t'Bodies with nothing between them'
frames\t'Bodies after their 32-bit big-endian lengths'
table\t'A row a message, cut to the width of the terminal [default there]'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand peek" -l exact -d 'Keep bodies to the byte: JSON that does not fit on a line goes as base64'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand peek" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -l chain -d 'Every message of this run instead, as it moves from step to step' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -l via -d 'Where that run is, when it was opened on another host' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -s n -l count -d 'End after so many' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -l at -d 'Where to begin (see `peek --help`)' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -l until -d 'Where to end' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -l timeout -d 'End when nothing came for this long: exit 75 if nothing came at all' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -l grep -d 'Only messages whose body, id, source, type or attributes match' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -l where -d 'Only messages for which this jq program says true; `.` is the event' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -l jq -d 'Print what this jq program makes of each event' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -s f -l template -d 'Print this for each message; `{{name}}` stands for an attribute, `{{data.x}}` for a part of the body, `{{place}}`, `{{sent}}`, `{{size}}` for what the middleware says' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -s o -l output -d 'Shape of stdout' -r -f -a "json\t'One envelope a line [default, but on a terminal]'
lines\t'One body a line'
nul\t'Bodies, each followed by a NUL byte'
raw\t'Bodies with nothing between them'
frames\t'Bodies after their 32-bit big-endian lengths'
table\t'A row a message, cut to the width of the terminal [default there]'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -l exact -d 'Keep bodies to the byte: JSON that does not fit on a line goes as base64'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand top" -l run -d 'Only queues of this run; of its middlewares, when no URL is given' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand top" -l every -d 'How often to look' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand top" -s n -l count -d 'Print rows so many times, and end' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand top" -s o -l output -d 'Print rows in this shape, also on a terminal' -r -f -a "table\t'A table'
json\t'A JSON object a line'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand ping" -s n -l count -d 'Round trips' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand ping" -l size -d 'Bytes of each body' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand ping" -l rate -d 'Begin so many a second [default: one after the other]' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand ping" -l timeout -d 'Give up (exit 75) when one takes this long' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand ping" -s o -l output -d 'Shape of the answer' -r -f -a "table\t'A table'
json\t'A JSON object a line'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand ping" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -l timeout -d 'Give up (exit 75) when there was no room for this long; 0 never waits' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -l dead -d 'File for lines that are no events' -r -F
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -l id -d 'Id of the event; of several, the second is ID-2 and so on' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -l key -d 'Key: what has the same one keeps its order, and on Kafka its partition' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -s H -l header -d 'An attribute of the events; also source, type, time, datacontenttype' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -l delay -d 'Arrive only after this long; refused where that cannot be' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -s i -l input -d 'Shape of stdin' -r -f -a "auto\t'A line is an envelope if it is a JSON object with `specversion`; any other line is a bare body'
json\t'Each line is an envelope'
lines\t'Each line is a body, never parsed'
nul\t'Bodies end with a NUL byte'
raw\t'All of the input is one body'
frames\t'Bodies follow their 32-bit big-endian lengths'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -s o -l output -d 'Shape of stdout' -r -f -a "json\t'One envelope a line'
lines\t'One body a line'
nul\t'Bodies, each followed by a NUL byte'
raw\t'Bodies with nothing between them'
frames\t'Bodies after their 32-bit big-endian lengths'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -l max-line -d 'Longest line, body or frame read from stdin' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -l exact -d 'Keep bodies to the byte: a trailing line feed stays, JSON that does not fit on a line goes as base64'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -s q -l quiet -d 'Only failures on stderr'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand get" -s n -l count -d 'How many; waits until so many came [default: 1, with --timeout 0 all]' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand get" -l timeout -d 'Give up (exit 75) when nothing came for this long; 0 takes what is there' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand get" -l hold -d 'Keep them from others for this long, then put them back' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand get" -s i -l input -d 'Shape of stdin' -r -f -a "auto\t'A line is an envelope if it is a JSON object with `specversion`; any other line is a bare body'
json\t'Each line is an envelope'
lines\t'Each line is a body, never parsed'
nul\t'Bodies end with a NUL byte'
raw\t'All of the input is one body'
frames\t'Bodies follow their 32-bit big-endian lengths'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand get" -s o -l output -d 'Shape of stdout' -r -f -a "json\t'One envelope a line'
lines\t'One body a line'
nul\t'Bodies, each followed by a NUL byte'
raw\t'Bodies with nothing between them'
frames\t'Bodies after their 32-bit big-endian lengths'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand get" -l max-line -d 'Longest line, body or frame read from stdin' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand get" -l nack -d 'Put them back at the end'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand get" -l exact -d 'Keep bodies to the byte: a trailing line feed stays, JSON that does not fit on a line goes as base64'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand cp" -l at -d 'Where to begin (see `peek --help`)' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand cp" -l until -d 'Where to end, not counting what is there' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand cp" -l resume -d 'Note in this file how far it is, and go on there the next time' -r -F
complete -c faas-queue -n "__fish_faas_queue_using_subcommand cp" -s n -l count -d 'At most so many' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand cp" -l grep -d 'Only messages whose body, id, source, type or attributes match' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand cp" -l where -d 'Only messages for which this jq program says true; `.` is the event' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand cp" -l jq -d 'What jq makes of each event, as it is printed, is what arrives' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand cp" -l follow -d 'Do not end: copy what comes, too'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand cp" -l dry-run -d 'Say what would be done, and do nothing'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand cp" -s q -l quiet -d 'Only failures on stderr'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand cp" -s h -l help -d 'Print help'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand mv" -s n -l count -d 'At most so many' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand mv" -l grep -d 'Only messages whose body, id, source, type or attributes match' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand mv" -l where -d 'Only messages for which this jq program says true; `.` is the event' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand mv" -l jq -d 'What jq makes of each event, as it is printed, is what arrives' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand mv" -l dry-run -d 'Say what would be done, and do nothing'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand mv" -s q -l quiet -d 'Only failures on stderr'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand mv" -s h -l help -d 'Print help'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand redrive" -l to -d 'Where they go [default: the same name without .dead]' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand redrive" -s n -l count -d 'At most so many' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand redrive" -l grep -d 'Only messages whose body, id, source, type or attributes match' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand redrive" -l where -d 'Only messages for which this jq program says true; `.` is the event' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand redrive" -l jq -d 'What jq makes of each event, as it is printed, is what arrives' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand redrive" -l dry-run -d 'Say what would be done, and do nothing'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand redrive" -s q -l quiet -d 'Only failures on stderr'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand redrive" -s h -l help -d 'Print help'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand purge" -s n -l count -d 'At most so many' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand purge" -l grep -d 'Only messages whose body, id, source, type or attributes match' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand purge" -l where -d 'Only messages for which this jq program says true; `.` is the event' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand purge" -l dry-run -d 'Say what would be done, and do nothing'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand purge" -s q -l quiet -d 'Only failures on stderr'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand purge" -s y -l yes -d 'Do not ask'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand purge" -s h -l help -d 'Print help'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand rm" -l run -d 'All queues of this run, and its record' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand rm" -l via -d 'Where that run is, when it was opened on another host' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand rm" -l orphaned -d 'All queues of runs whose runner is gone'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand rm" -s y -l yes -d 'Do not ask, although there are messages'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand rm" -l dry-run -d 'Say how many messages would be gone, and remove nothing'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand rm" -s h -l help -d 'Print help'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and not __fish_seen_subcommand_from add ls rm test help" -s h -l help -d 'Print help'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and not __fish_seen_subcommand_from add ls rm test help" -f -a "add" -d 'Write a profile, in place of one of the same name'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and not __fish_seen_subcommand_from add ls rm test help" -f -a "ls" -d 'List profiles; passwords are not shown, only where they are'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and not __fish_seen_subcommand_from add ls rm test help" -f -a "rm" -d 'Remove a profile'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and not __fish_seen_subcommand_from add ls rm test help" -f -a "test" -d 'Connect to a profile\'s server, and say how long that took'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and not __fish_seen_subcommand_from add ls rm test help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from add" -l password-file -d 'Its password is in this file' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from add" -l password-env -d 'Its password is in this variable of the environment' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from add" -l password-command -d 'This command prints its password; words are separated by blanks' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from add" -l password-plain -d 'Read its password from stdin, and write it into the file as it is'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from add" -l here -d 'Write it into ./faas.toml'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from ls" -s o -l output -d 'Shape of the list' -r -f -a "table\t'A table'
json\t'A JSON object a line'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "add" -d 'Write a profile, in place of one of the same name'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List profiles; passwords are not shown, only where they are'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Remove a profile'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "test" -d 'Connect to a profile\'s server, and say how long that took'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "new" -d 'Create queues'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "ls" -d 'List queues: depth, messages held, readers'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "stat" -d 'Show one queue'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "peek" -d 'Show messages and take nothing'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "tail" -d 'Show messages as they come, and take nothing'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "top" -d 'Watch queues on a full screen, and look into them'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "ping" -d 'Measure round trips through a middleware'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "put" -d 'Send the events or lines on stdin'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "get" -d 'Take events and print them'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "cp" -d 'Copy messages to another queue; they stay where they are'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "mv" -d 'Move messages to another queue'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "redrive" -d 'Send dead letters back to where they failed'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "purge" -d 'Remove messages; the queue stays'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "rm" -d 'Remove queues and all they hold'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "profile" -d 'Give servers names, and say where their passwords are'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat peek tail top ping put get cp mv redrive purge rm profile help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "add" -d 'Write a profile, in place of one of the same name'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "ls" -d 'List profiles; passwords are not shown, only where they are'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "rm" -d 'Remove a profile'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "test" -d 'Connect to a profile\'s server, and say how long that took'
