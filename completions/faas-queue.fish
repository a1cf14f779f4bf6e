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
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "put" -d 'Send the events or lines on stdin'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "get" -d 'Take events and print them'
complete -c faas-queue -n "__fish_faas_queue_needs_command" -f -a "rm" -d 'Remove queues and all they hold'
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
complete -c faas-queue -n "__fish_faas_queue_using_subcommand stat" -s o -l output -d 'Shape of the answer' -r -f -a "table\t'A table'
json\t'A JSON object a line'"
complete -c faas-queue -n "__fish_faas_queue_using_subcommand stat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -l timeout -d 'Give up (exit 75) when there was no room for this long; 0 never waits' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand put" -l dead -d 'File for lines that are no events' -r -F
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
complete -c faas-queue -n "__fish_faas_queue_using_subcommand get" -l exact -d 'Keep bodies to the byte: a trailing line feed stays, JSON that does not fit on a line goes as base64'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand rm" -l run -d 'All queues of this run, and its record' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand rm" -l via -d 'Where that run is, when it was opened on another host' -r
complete -c faas-queue -n "__fish_faas_queue_using_subcommand rm" -l orphaned -d 'All queues of runs whose runner is gone'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand rm" -s h -l help -d 'Print help'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat put get rm help" -f -a "new" -d 'Create queues'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat put get rm help" -f -a "ls" -d 'List queues: depth, messages held, readers'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat put get rm help" -f -a "stat" -d 'Show one queue'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat put get rm help" -f -a "put" -d 'Send the events or lines on stdin'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat put get rm help" -f -a "get" -d 'Take events and print them'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat put get rm help" -f -a "rm" -d 'Remove queues and all they hold'
complete -c faas-queue -n "__fish_faas_queue_using_subcommand help; and not __fish_seen_subcommand_from new ls stat put get rm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
