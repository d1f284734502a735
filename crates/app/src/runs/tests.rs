use super::*;
use look::State;

#[test]
fn ages_are_in_their_greatest_unit() {
    let found =
        [0, 59, 60, 3599, 3600, 86_399, 86_400, 172_799, 172_800].map(|seconds| age(Duration::from_secs(seconds)));
    assert_eq!(found, ["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 day", "1 day", "2 days"]);
    let now = SystemTime::now();
    assert_eq!(since(now + Duration::from_secs(9), now), Duration::ZERO);
}

#[test]
fn runs_are_found_two_deep_and_a_folder_of_runs_is_none() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["a", "group", "group/b", "group/c", "x/y/too_deep", "none/checkpoints"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
        if folder != "none/checkpoints" {
            fs::write(root.path().join(folder).join("config.json"), "{}").unwrap();
        }
    }
    let names = |folder: &Path| -> Vec<String> { find(folder, DEPTH).iter().map(|run| name(folder, run)).collect() };
    assert_eq!(names(root.path()), ["a", "group/b", "group/c"]);
    let a = root.path().join("a");
    assert_eq!(names(&a), [a.display().to_string()], "a run itself");
    assert!(names(&root.path().join("none")).is_empty() && names(&root.path().join("nowhere")).is_empty());
}

fn looked(name: &str, state: State, seed: u64) -> Looked {
    let best = ::report::Best { metric: "loss".into(), greatest: false, score: 0.25, epoch: 2, step: 8 };
    Looked {
        name: name.into(),
        folder: Path::new("runs").join(name),
        state,
        problem: (state == State::Failed).then(|| Problem::Unreadable("it is broken".into())),
        epoch: 3,
        epochs: (state != State::Failed).then_some(20),
        step: 12,
        best: (state == State::Running).then_some(best),
        written: Some(SystemTime::UNIX_EPOCH),
        bytes: 1500,
        config: (state != State::Failed).then(|| json!({"seed": seed, "rate": 0.5})),
    }
}

fn listed() -> (Vec<Looked>, Vec<Differing>) {
    let runs = vec![
        looked("one", State::Running, 1),
        looked("bad", State::Failed, 0),
        looked("group/two", State::Resumable, 2),
    ];
    let configs: Vec<Option<&Value>> = runs.iter().map(|run| run.config.as_ref()).collect();
    let differing = differing(&configs);
    (runs, differing)
}

#[test]
fn a_table_has_a_line_for_each_run_and_says_what_is_wrong() {
    let (runs, differing) = listed();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(180);
    let expected = "\
name       state      epoch  best                   age    size    differs in
one        running    3/20   loss 0.2500 (epoch 2)  3 min  1.5 kB  seed=1
bad        failed     -      -                      3 min  1.5 kB
group/two  resumable  3/20   -                      3 min  1.5 kB  seed=2

bad: it is broken";
    assert_eq!(table(&runs, &differing, now), expected);
    let alone = table(&runs[..1], &[Differing::new()], now);
    assert!(alone.ends_with("1.5 kB") && !alone.contains("differs"), "{alone}");
}

#[test]
fn many_differences_stand_below_each_other() {
    let (runs, _) = listed();
    let differing: Differing = (0..4).map(|key| (format!("section.{key}.{}", "k".repeat(30)), json!(key))).collect();
    let table = table(&runs[..1], &[differing], SystemTime::UNIX_EPOCH);
    let lines: Vec<&str> = table.lines().collect();
    let columns: Vec<Option<usize>> = lines[1..].iter().map(|line| line.find("section.")).collect();
    assert_eq!(columns, vec![lines[0].find("differs in"); 4]);
}

#[test]
fn programs_get_plain_numbers() {
    let (runs, differing) = listed();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(180);
    let best = json!({"metric": "loss", "mode": "min", "score": 0.25, "epoch": 2, "step": 8});
    let expected = json!({
        "name": "one", "folder": "runs/one", "state": "running", "problem": null, "epoch": 3, "epochs": 20, "step": 12,
        "best": best, "age_seconds": 180, "bytes": 1500, "differences": {"seed": 1},
    });
    assert_eq!(object((&runs[0], &differing[0]), now), expected);
    let bad = object((&runs[1], &differing[1]), now);
    assert_eq!((&bad["problem"], &bad["epochs"], &bad["best"]), (&json!("it is broken"), &Value::Null, &Value::Null));
}
