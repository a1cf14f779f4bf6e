//! Servers, addresses and entries that are not as they should be: what is
//! said, and with which exit code.

use crate::common::Place;
use faas_tests::services::{Redis, certificates, free_port, shared_redis};

fn place() -> Place {
    Place::new(&shared_redis())
}

/// Runs a script that fails: exit code and all of stderr, in which the
/// server's URL is `URL` and its port `PORT`.
fn said(place: &Place, script: &str) -> (i32, String) {
    let came = place.sh(script);
    let port: String = place.url.rsplit(':').next().expect("a port").to_owned();
    let port = port.split('/').next().expect("a port");
    let stderr = place.sandbox.redacted(&came.stderr);
    (came.code, stderr.replace(&place.url, "URL").replace(port, "PORT"))
}

/// Asserts that a script fails so, with these words.
fn says(place: &Place, script: &str, code: i32, words: &str) {
    assert_eq!(said(place, script), (code, words.to_owned()), "{script}");
}

/// A server that wants a password, with one more user.
fn guarded() -> (Redis, Place) {
    let redis = Redis::with(&["--requirepass", "s3cret"]);
    let user = ["ACL", "SETUSER", "eve", "on", ">evepw", "~*", "&*", "+@read", "+hello"];
    assert_eq!(redis.command(&user), "OK");
    let place = Place::new(&redis.url());
    (redis, place)
}

#[test]
fn no_password() {
    let words = "faas-queue: cannot open URL: it wants a password
  try: FAAS_REDIS_PASSWORD or FAAS_REDIS_PASSWORD_FILE, in the environment\n";
    says(&guarded().1, "faas-queue ls $U", 77, words);
}

#[test]
fn wrong_password() {
    let words = "faas-queue: cannot open URL: it refused the password of user default
  try: FAAS_REDIS_PASSWORD, or redis://USER@host\n";
    says(&guarded().1, "FAAS_REDIS_PASSWORD=wrong faas-queue ls $U", 77, words);
}

#[test]
fn unknown_user() {
    let words =
        "faas-queue: cannot open redis://bob@127.0.0.1:PORT/0: it refused the password of user bob
  try: FAAS_REDIS_PASSWORD, or redis://USER@host\n";
    let script = "FAAS_REDIS_PASSWORD=s3cret faas-queue ls ${U/\\/\\//\\/\\/bob@}";
    says(&guarded().1, script, 77, words);
}

#[test]
fn a_user_that_may_only_read() {
    let script = "FAAS_REDIS_PASSWORD=evepw faas-queue ls ${U/\\/\\//\\/\\/eve@}";
    let (_redis, place) = guarded();
    let (code, stderr) = said(&place, script);
    assert_eq!(code, 77, "{stderr}");
    let begin = "faas-queue: cannot open redis://eve@127.0.0.1:PORT/0: the server says: NOPERM ";
    assert!(stderr.starts_with(begin), "{stderr}");
    assert!(stderr.contains("\n  try: an ACL with ~* &* +@all"), "{stderr}");
}

#[test]
fn a_password_file_that_is_not_there() {
    let words = "faas-queue: cannot open URL: the password cannot be read from nowhere: \
        No such file or directory (os error 2)
  try: FAAS_REDIS_PASSWORD_FILE, a file you can read\n";
    says(&place(), "FAAS_REDIS_PASSWORD_FILE=nowhere faas-queue ls $U", 77, words);
}

/// What everybody could see is not shown once more.
#[test]
fn a_password_in_the_url() {
    for user in ["ann:s3cret", ":s3cret"] {
        let script = format!("faas-queue ls redis://{user}@127.0.0.1:1/0");
        let (code, stderr) = said(&place(), &script);
        assert_eq!(code, 2, "{stderr}");
        let words = "a password in a URL is seen by everybody (ps, history)
  try: FAAS_REDIS_PASSWORD or FAAS_REDIS_PASSWORD_FILE, in the environment\n";
        assert!(stderr.ends_with(words), "{stderr}");
        assert!(!stderr.contains("s3cret"), "{stderr}");
    }
}

#[test]
fn tls_to_a_plain_port() {
    let place = place();
    let script = "faas-queue ls ${U/redis/rediss}";
    let (code, stderr) = said(&place, script);
    assert_eq!(code, 69, "{stderr}");
    assert!(stderr.starts_with("faas-queue: cannot open rediss://127.0.0.1:PORT/0: "), "{stderr}");
    assert!(stderr.ends_with("\n  try: redis://, or the server's TLS port\n"), "{stderr}");
}

/// A server behind TLS, and a folder with those to trust and not to trust.
fn behind_tls() -> (Redis, Place, tempfile::TempDir) {
    let folder = certificates();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (port, certificate, key) = (free_port(), file("server.crt"), file("server.key"));
    let (port_text, authority) = (port.to_string(), file("ca.crt"));
    let redis = Redis::with(&[
        "--tls-port",
        &port_text,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
    ]);
    (redis, Place::new(&format!("rediss://127.0.0.1:{port}/0")), folder)
}

#[test]
fn plain_to_a_tls_port() {
    let (_redis, place, _folder) = behind_tls();
    let words = "faas-queue: cannot open redis://127.0.0.1:PORT/0: it closed the connection at \
        the first word: it may speak TLS only
  try: rediss://, or redis-cli ping\n";
    says(&place, "faas-queue ls ${U/rediss/redis}", 69, words);
}

#[test]
fn a_certificate_that_is_not_trusted() {
    let (_redis, place, folder) = behind_tls();
    let cause = "its certificate is not trusted: invalid peer certificate: UnknownIssuer
  try: ?tls-ca=FILE with the certificate of its authority\n";
    says(&place, "faas-queue ls $U", 69, &format!("faas-queue: cannot open URL: {cause}"));
    let other = folder.path().join("other.crt").display().to_string();
    let words = format!("faas-queue: cannot open URL?tls-ca={other}: {cause}");
    says(&place, &format!("faas-queue ls $U?tls-ca={other}"), 69, &words);
}

#[test]
fn a_file_of_certificates_that_has_none() {
    let (_redis, place, _folder) = behind_tls();
    place.sandbox.file("junk", "hello\n");
    for file in ["junk", "nowhere"] {
        let (code, stderr) = said(&place, &format!("faas-queue ls $U?tls-ca={file}"));
        assert_eq!(code, 77, "{stderr}");
        assert!(stderr.contains(&format!("the certificates in {file} cannot be read")), "{stderr}");
        assert!(stderr.ends_with("\n  try: tls-ca=FILE, certificates in PEM\n"), "{stderr}");
    }
}

#[test]
fn a_replica() {
    let primary = Redis::start();
    let replica = Redis::replica_of(&primary);
    let place = Place::new(&replica.url());
    let words = "faas-queue: cannot open URL/q: it is a read-only replica
  try: the primary's address (redis-cli info replication)\n";
    says(&place, "faas-queue new $U/q", 69, words);
}

#[test]
fn nobody_listens() {
    let place = Place::new(&format!("redis://127.0.0.1:{}/0", free_port()));
    place.sandbox.file(
        "chain.json",
        r#"{ "chain": "c", "functions": { "f": { "run": ["cat"] } }, "start": "f" }"#,
    );
    let cause = "connection refused\n  try: redis-server, or another host and port\n";
    let commands = [
        ("faas-queue ls $U", "faas-queue: cannot open URL: "),
        ("faas-queue put $U/q", "faas-queue: cannot open URL/q: "),
        ("faas-invoke --from $U/q -- cat", "faas-invoke: cannot open URL/q: "),
        ("faas-trigger --to $U/q", "faas-trigger: cannot open URL/q: "),
        ("faas-chain run --via $U chain.json", "faas-chain: cannot open URL: "),
    ];
    for (command, begin) in commands {
        says(&place, command, 69, &format!("{begin}{cause}"));
    }
}

#[test]
fn a_key_that_is_no_stream() {
    let redis = Redis::start();
    let place = Place::new(&redis.url());
    redis.command(&["SET", "string", "x"]);
    redis.command(&["RPUSH", "list", "x"]);
    let commands = [
        ("faas-queue new", "create"),
        ("faas-queue stat", "look at"),
        ("faas-queue put", "open"),
        ("faas-queue get", "open"),
        ("faas-queue rm", "remove"),
    ];
    for kind in ["string", "list"] {
        for (command, action) in commands {
            let words = format!(
                "faas-queue: cannot {action} URL/{kind}: the key of that name is a {kind}, not a \
                 stream\n  try: another name\n"
            );
            says(&place, &format!("{command} $U/{kind}"), 69, &words);
        }
    }
    assert_eq!(redis.command(&["GET", "string"]), "x");
}

#[test]
fn a_stream_without_a_group() {
    let redis = Redis::start();
    redis.command(&["XADD", "theirs", "*", "k", "v"]);
    let place = Place::new(&redis.url());
    let words = "URL/theirs: it is a stream that these tools did not make, without a group
  try: redis-cli XGROUP CREATE theirs faas 0, if its entries may be removed\n";
    let get = format!("faas-queue: cannot open {words}");
    says(&place, "faas-queue get $U/theirs", 69, &get);
    let invoke = format!("faas-invoke: cannot open {words}");
    says(&place, "faas-invoke --from $U/theirs -- cat", 69, &invoke);
    assert_eq!(redis.command(&["XLEN", "theirs"]), "1");
}

/// Its entries would be gone for the others.
#[test]
fn a_stream_with_another_group() {
    let redis = Redis::start();
    redis.command(&["XGROUP", "CREATE", "theirs", "others", "0", "MKSTREAM"]);
    redis.command(&["XADD", "theirs", "*", "k", "v"]);
    let place = Place::new(&redis.url());
    let words = "faas-queue: cannot open URL/theirs: group `others` reads this stream, and what \
        is done is removed
  try: ?group=others, or a queue of its own\n";
    says(&place, "faas-queue get $U/theirs", 69, words);
    assert_eq!(redis.command(&["XLEN", "theirs"]), "1");
    let got = place.sh("faas-queue get $U/theirs?group=others | jq -c .data");
    assert_eq!(got.stdout, "{\"k\":\"v\"}\n", "the cure works: {got:?}");
}

/// Entries that are no events become dead letters, with all their fields.
#[test]
fn entries_that_are_no_events() {
    let redis = Redis::start();
    let place = Place::new(&redis.url());
    place.ok("faas-queue new $U/q");
    let head = ["ce_id", "1", "ce_source", "s", "ce_type", "t", "ce_specversion"];
    redis.command(&["XADD", "q", "*", "k", "v", "data", "some text"]);
    redis.command(&[&["XADD", "q", "*"][..], &head, &["9", "data", "5"]].concat());
    redis.command(&[&["XADD", "q", "*"][..], &head, &["1.0", "data", "{\"a\":1}"]].concat());
    let came = place.sh("faas-invoke --from $U/q -o lines -n 3 -- cat; echo $?
        faas-queue get -n 2 $U/q.dead | jq -c '[.faasreason, .data]'");
    let first = r#"["it is no event: ce_id is missing",{"data":"some text","k":"v"}]"#;
    let fields = r#""ce_id":"1","ce_source":"s","ce_specversion":"9","ce_type":"t","data":"5""#;
    let second = format!(r#"["specversion 9 is not understood",{{{fields}}}]"#);
    assert_eq!(came.stdout, format!("{{\"a\":1}}\n1\n{first}\n{second}\n"), "{came:?}");
    assert_eq!(redis.command(&["XLEN", "q"]), "0");
}

/// The same in the queues of a run.
#[test]
fn entries_that_are_no_events_in_a_run() {
    let redis = Redis::start();
    let place = Place::new(&redis.url());
    place.sandbox.file(
        "chain.json",
        r#"{ "chain": "c", "functions": { "f": { "run": ["cat"] } }, "start": "f" }"#,
    );
    let command = "faas-chain run --run $R --via $U -o lines chain.json < <(sleep 2; seq 3)";
    let mut run = place.start("run", command);
    let queue = format!("faas.{}.f", place.sandbox.run());
    place.until("the queue", || redis.command(&["EXISTS", &queue]) == "1");
    redis.command(&["XADD", &queue, "*", "k", "v"]);
    assert_eq!(run.wait(), 1, "{}", place.text("run.err"));
    assert_eq!(place.text("run.out"), "1\n2\n3\n");
    let dead = place.ok("jq -c '[.faasfunction, .faasreason, .data]' $R.dead.ndjson");
    assert_eq!(dead, "[\"f\",\"it is no event: ce_id is missing\",{\"k\":\"v\"}]\n");
}

#[test]
fn an_unknown_option() {
    let words = "faas-queue: cannot open URL?grop=x: unknown option `grop`\n  try: group\n";
    says(&place(), "faas-queue ls $U?grop=x", 2, words);
}

#[test]
fn a_lease_that_is_too_short() {
    let words = "faas-queue: cannot open URL?lease=1s: lease `1s` is not understood
  try: lease=2s, or more\n";
    says(&place(), "faas-queue ls $U?lease=1s", 2, words);
}

#[test]
fn a_database_that_is_not_there() {
    let words = "faas-queue: cannot open redis://127.0.0.1:PORT/99: it has no database 99
  try: redis://host:port/0\n";
    says(&place(), "faas-queue ls ${U%0}99", 2, words);
}

#[test]
fn last_in_first_out() {
    let words = "faas-queue: cannot create URL/q: a stream cannot be lifo\n  try: order fifo\n";
    says(&place(), "faas-queue new --order lifo $U/q", 2, words);
}

#[test]
fn a_url_without_a_queue() {
    let words = "faas-queue: cannot open URL: it names no queue\n  try: URL/NAME\n";
    says(&place(), "faas-queue new $U", 2, words);
}

#[test]
fn no_such_queue() {
    let words = "faas-queue: cannot open URL/P-q: no such queue\n  try: faas-queue new URL/P-q\n";
    says(&place(), "faas-queue get $U/${R%-run}-q", 69, words);
}

/// Those that wait are told when their queue goes.
#[test]
fn a_queue_that_is_removed_under_its_readers() {
    let place = place();
    for (name, command, begin) in [
        ("get", "faas-queue get", "faas-queue: cannot get from"),
        ("invoke", "faas-invoke --from", "faas-invoke: cannot go on with the queues:"),
    ] {
        let queue = format!("{}/{}-{name}", place.url, place.sandbox.run());
        place.ok(&format!("faas-queue new {queue}"));
        let program = if name == "get" { "" } else { "-- cat" };
        let mut reader = place.start(name, &format!("{command} {queue} {program}"));
        let readers = format!("faas-queue stat -o json {queue} | jq .readers");
        place.until("it to read", || place.sh(&readers).stdout == "1\n");
        place.ok(&format!("sleep 0.3; faas-queue rm --yes {queue}"));
        assert_eq!(reader.wait(), 69);
        let told = place.text(&format!("{name}.err"));
        assert!(told.starts_with(begin), "{told}");
        let cure = format!("{queue} was removed\n  try: faas-queue new {queue}, and start again\n");
        assert!(told.ends_with(&cure), "{told}");
    }
}
