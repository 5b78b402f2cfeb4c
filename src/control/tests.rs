use std::os::unix::fs::MetadataExt as _;

use super::*;

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
    // A socket that nobody listens at is what SIGKILL leaves.
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
