//! Servers by their names, and where their passwords are.

use crate::common::Place;
use faas_tests::services::Redis;

/// A password is where somebody says, never in the file unless told, and never
/// printed; a file beside the work says which server is meant.
#[test]
fn passwords_come_from_where_they_are() {
    let redis = Redis::with(&["--requirepass", "sesame"]);
    let place = Place::new(&redis.url());
    let out = place.sh(r#"export XDG_CONFIG_HOME=$PWD/config SECRET=sesame
        echo sesame > secret; H=${U#redis://}
        faas-queue profile add e $U --password-env SECRET
        faas-queue profile add f $U --password-file secret
        echo sesame | faas-queue profile add p $U --password-plain --here
        grep -c sesame config/faas-tools/config.toml faas.toml; stat -c %a faas.toml
        for name in e f p; do faas-queue profile test $name | cut -d ' ' -f 1-4; done
        SECRET=x faas-queue ls @e; echo $?; rm secret; faas-queue ls @f; echo $?
        faas-queue profile ls -o json | jq -r '[.profile, .password] | join(" ")'
        faas-queue new @e/jobs
        printf 'middleware = "@e"
%s
' "$(cat faas.toml)" > faas.toml
        faas-queue ls | grep -c /0/jobs; faas-queue top -n 1 -o json | jq .depth
        faas-queue profile rm p; grep -c sesame faas.toml; faas-queue rm @e/jobs
        HOME= XDG_CONFIG_HOME= faas-queue profile add x $U; echo $?; ls -a | grep -c config"#);
    let lines: Vec<&str> = out.stdout.lines().collect();
    let wanted = [
        "config/faas-tools/config.toml:0",
        "faas.toml:1",
        "600",
        "@e is Redis Streams",
        "@f is Redis Streams",
        "@p is Redis Streams",
        "77",
        "77",
        "e environment SECRET",
    ];
    assert_eq!(&lines[..wanted.len()], wanted, "{out:?}");
    assert_eq!(&lines[wanted.len() + 2..], ["1", "0", "0", "2", "1"], "{out:?}");
    assert!(!out.stderr.contains("sesame"), "{out:?}");
    let refused = "cannot open @e: it refused the password of user default\n  try: faas-queue profile \
        add e URL, with --password-file FILE if it wants a password\n";
    assert!(out.stderr.contains(refused), "{out:?}");
}

#[test]
fn profiles_stand_for_servers() {
    let redis = Redis::with(&["--requirepass", "sesame"]);
    let place = Place::new(&redis.url());
    let out = place.sh(r#"export XDG_CONFIG_HOME=$PWD/config
        faas-queue profile add prod $U --password-command 'cat secret' 2> /dev/null
        echo sesame > secret
        faas-queue new @prod/jobs && seq 2 | faas-queue put @prod/jobs
        faas-queue peek -o lines @prod/jobs; faas-queue profile ls
        faas-queue profile test prod | sed 's/, connected.*//'
        echo wrong > secret; faas-queue ls @prod; echo $?
        faas-queue peek @prod; faas-queue ls @prd; echo $?; echo 'x = [' > faas.toml; faas-queue ls @prod; echo $?
        rm faas.toml; faas-queue profile rm prod; faas-queue profile ls -o json"#);
    let text = out.stdout + &out.stderr;
    assert!(text.starts_with("1\n2\nPROFILE"), "{text}");
    for wanted in [
        "command cat secret",
        "@prod is Redis Streams",
        "\n77\n2\n2\n",
        "cannot open @prod: it names no queue\n  try: @prod/NAME",
        "there is no profile prd",
        "try: @prod",
        "faas.toml: line 1",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("sesame"), "{text}");
}
