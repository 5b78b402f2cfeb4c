use std::os::unix::fs::MetadataExt as _;

use super::*;

#[path = "../../../../tests/common/skips.rs"]
mod skips;

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Sum {
    of: Vec<u32>,
}

fn adding() -> Control {
    Control::default()
        .on("sum", |sum: Sum| match sum.of.is_empty() {
            true => Err("nothing to add: give a number".to_owned()),
            false => Ok(sum.of.iter().sum::<u32>()),
        })
        .on("faint", |_: ()| -> Result<(), String> { panic!("a fault in whoever answers") })
}

fn raw(state: &Path, bytes: &[u8]) -> String {
    let connection = UnixStream::connect(state.join(SOCKET)).unwrap();
    (&connection).write_all(bytes).unwrap();
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    (&connection).read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn question_is_answered_and_refusal_says_why() {
    let state = tempfile::tempdir().unwrap();
    let _listening = adding().listen(state.path()).unwrap();
    let answer: u32 = ask(state.path(), "sum", &Sum { of: vec![20, 22] }).unwrap();
    assert_eq!(answer, 42);
    let refused = ask::<_, u32>(state.path(), "sum", &Sum { of: vec![] }).unwrap_err();
    assert_eq!(refused.to_string(), "nothing to add: give a number");
    let unknown = ask::<_, u32>(state.path(), "product", &()).unwrap_err().to_string();
    assert_eq!(unknown, "\"product\" cannot be asked of this daemon; it knows: faint, sum");
}

#[test]
fn whatever_is_sent_gets_a_line_and_the_next_question_its_answer() {
    let state = tempfile::tempdir().unwrap();
    let _listening = adding().listen(state.path()).unwrap();
    for bytes in [&b""[..], b"\n", b"{}\n", b"{\"ask\":1}\n", b"\xff\xfe\n", b"{\"ask\":\"sum\"}\n"]
    {
        let answer = raw(state.path(), bytes);
        assert!(answer.starts_with("{\"refused\":") && answer.ends_with("}\n"), "{answer}");
    }
    let fainted = ask::<_, ()>(state.path(), "faint", &());
    assert!(matches!(fainted, Err(AskError::Ended { .. })));
    for _ in 0..3 * MOST_AT_ONCE {
        ask::<_, u32>(state.path(), "sum", &Sum { of: vec![1] }).unwrap();
    }
}

#[test]
fn nobody_else_can_reach_the_door() {
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    let _listening = adding().listen(&state).unwrap();
    let mode = |p: &Path| fs::metadata(p).unwrap().mode() & 0o7777;
    assert_eq!((mode(&state), mode(&state.join(SOCKET))), (0o700, 0o600));
}

#[test]
fn second_daemon_is_refused_and_a_killed_ones_socket_is_taken_over() {
    let state = tempfile::tempdir().unwrap();
    let first = adding().listen(state.path()).unwrap();
    let second = adding().listen(state.path()).unwrap_err().to_string();
    assert!(second.starts_with("another outrider answers at "), "{second}");
    drop(first);
    assert!(!state.path().join(SOCKET).exists(), "the door is closed behind us");
    let nobody = ask::<_, u32>(state.path(), "sum", &()).unwrap_err().to_string();
    assert!(nobody.contains("is `outrider run` at work"), "{nobody}");
    // SIGKILL leaves a socket at which nobody listens.
    drop(UnixListener::bind(state.path().join(SOCKET)).unwrap());
    let _again = adding().listen(state.path()).unwrap();
    assert_eq!(ask::<_, u32>(state.path(), "sum", &Sum { of: vec![2] }).unwrap(), 2);
}

#[test]
fn kernel_says_who_asks() {
    let state = tempfile::tempdir().unwrap();
    let _listening = Control::default()
        .on_from("who", |who: Asker, (): ()| Ok(who.uid))
        .listen(state.path())
        .unwrap();
    let uid: u32 = ask(state.path(), "who", &()).unwrap();
    assert_eq!(uid, rustix::process::geteuid().as_raw());
}

#[test]
fn daemon_that_waits_says_for_what() {
    let state = tempfile::tempdir().unwrap();
    let waiting = Control::default().otherwise("waits for its passphrase: run outrider unlock");
    let _listening = waiting.listen(state.path()).unwrap();
    let refused = ask::<_, ()>(state.path(), "query", &()).unwrap_err().to_string();
    assert_eq!(refused, "waits for its passphrase: run outrider unlock");
}

#[test]
fn folder_that_others_can_change_is_no_place_for_questions_or_answers() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    let listening = adding().listen(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = ask::<_, u32>(&state, "sum", &Sum { of: vec![1] }).unwrap_err().to_string();
    assert!(refused.contains("can be changed by others (mode 0777)"), "{refused}");
    drop(listening);
    let refused = adding().listen(&state).unwrap_err().to_string();
    assert!(refused.contains("can be changed by others (mode 0777)"), "{refused}");
}

/// A stranger who got into the folder could answer in the daemon's place. Only root can play two
/// users.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the test is the stranger at the other end of the socket"
)]
fn stranger_behind_the_socket_is_told_nothing() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
    use rustix::thread::set_thread_res_uid;
    let us = rustix::process::geteuid();
    if !us.is_root() {
        return skips::skipped(
            "a stranger behind the control socket",
            "it takes root to be two users",
        );
    }
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    files::own_folder(&state).unwrap();
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(state.join(SOCKET)).unwrap()).unwrap();
    let stranger = rustix::process::Uid::from_raw(4711);
    // The kernel records who listens. The user id is changed for this thread alone, and changed
    // back at once.
    set_thread_res_uid(us, stranger, us).unwrap();
    let listens = rustix::net::listen(&socket, 1);
    set_thread_res_uid(us, us, us).unwrap();
    listens.unwrap();
    let refused = ask::<_, ()>(&state, "unlock", &"the passphrase").unwrap_err();
    assert!(matches!(refused, AskError::Stranger { found: 4711, .. }), "{refused}");
    let listener = UnixListener::from(socket);
    let (mut heard, _) = listener.accept().unwrap();
    let mut said = String::new();
    heard.read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "nothing was told");
}

#[test]
fn stranger_who_asks_is_not_heard() {
    use rustix::thread::set_thread_res_uid;
    use std::os::unix::fs::PermissionsExt as _;
    let us = rustix::process::geteuid();
    if !us.is_root() {
        return skips::skipped(
            "a stranger who asks at the control socket",
            "it takes root to be two users",
        );
    }
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    let _listening = adding().listen(&state).unwrap();
    // As after a well-meant chmod.
    for path in [parent.path(), &state] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(state.join(SOCKET), fs::Permissions::from_mode(0o666)).unwrap();
    let stranger = rustix::process::Uid::from_raw(4711);
    set_thread_res_uid(us, stranger, us).unwrap();
    let connection = UnixStream::connect(state.join(SOCKET));
    set_thread_res_uid(us, us, us).unwrap();
    let connection = connection.unwrap();
    let _ = (&connection).write_all(b"{\"ask\":\"sum\",\"with\":{\"of\":[1]}}\n");
    let mut answer = String::new();
    let _ = (&connection).read_to_string(&mut answer);
    assert_eq!(answer, "");
}
