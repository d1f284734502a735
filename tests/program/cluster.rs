//! `scripts/cluster`: what can be checked without Slurm, Kubernetes, SkyPilot or Docker.

use super::support::{Place, root};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn file(name: &str) -> String {
    fs::read_to_string(root().join("scripts/cluster").join(name)).unwrap()
}

/// Returns the calls of the program in a text, whose lines may go on after a backslash; without comments.
fn calls(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let calls = code.filter_map(|line| line.find("app train").map(|at| line[at..].to_owned()));
    calls.map(|call| call.replace('"', "").split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Fails where the syntax of a shell script is wrong.
fn assert_shell(script: &str, name: &str) {
    let place = Place::new();
    fs::write(place.path("script"), script).unwrap();
    let ran = Command::new("bash").arg("-n").arg(place.path("script")).output().unwrap();
    assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// Returns the text of a block (`key: |`) of a YAML file.
fn block(yaml: &str, key: &str) -> String {
    let (_, rest) = yaml.split_once(&format!("\n{key}: |\n")).unwrap();
    rest.lines()
        .take_while(|line| line.is_empty() || line.starts_with("  "))
        .fold(String::new(), |text, line| text + line.trim_start_matches("  ") + "\n")
}

#[test]
fn the_program_takes_every_command_line() {
    let place = Place::new();
    for (name, count) in
        [("train.sbatch", 1), ("trainjob.yaml", 1), ("pytorchjob.yaml", 1), ("skypilot.yaml", 1), ("Dockerfile", 0)]
    {
        let calls = calls(&file(name));
        assert_eq!(calls.len(), count, "{name}: {calls:?}");
        for call in calls {
            let arguments = call.strip_prefix("app ").unwrap();
            // All arguments before --help are parsed.
            place.app(&format!("{arguments} --help")).ok();
            place.app(&format!("{arguments} --no-such-option --help")).refused(2, "--no-such-option");
        }
    }
}

#[test]
fn manifests_have_the_form_of_yaml_and_the_kinds_that_they_say() {
    for name in ["trainjob.yaml", "pytorchjob.yaml", "skypilot.yaml"] {
        let text = file(name);
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            assert!(!line.contains('\t') && indent % 2 == 0 && line.trim_end() == line, "{name}: {line:?}");
        }
        let python = "import sys, yaml; print(sum(1 for part in yaml.safe_load_all(sys.stdin) if part))";
        let parsed = Command::new("python3")
            .args(["-c", python])
            .stdin(fs::File::open(root().join("scripts/cluster").join(name)).unwrap())
            .stderr(Stdio::piped())
            .output();
        match parsed {
            Ok(ran) if ran.status.success() => {
                let expected = text.matches("\n---\n").count() + 1;
                assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), expected.to_string(), "{name}");
            }
            Ok(ran) if String::from_utf8_lossy(&ran.stderr).contains("No module named") => {}
            Ok(ran) => panic!("{name}: {}", String::from_utf8_lossy(&ran.stderr)),
            Err(_) => {}
        }
    }
    for part in file("trainjob.yaml").split("\n---\n") {
        assert!(part.contains("apiVersion: trainer.kubeflow.org/v1alpha1\nkind: Train"), "{part}");
    }
    assert!(file("pytorchjob.yaml").contains("apiVersion: kubeflow.org/v1\nkind: PyTorchJob\n"));
    for key in ["setup", "run"] {
        assert_shell(&block(&file("skypilot.yaml"), key), key);
    }
}

#[test]
fn an_image_is_built_from_files_that_are_there() {
    let mut copied = 0;
    for line in file("Dockerfile").lines().filter_map(|line| line.strip_prefix("COPY ")) {
        if let Some((sources, _)) = line.rsplit_once(' ').filter(|_| !line.starts_with("--from")) {
            for source in sources.split(' ') {
                copied += 1;
                assert!(root().join(source).exists(), "{source}");
            }
        }
    }
    assert_eq!(copied, 4);
}

/// Runs the batch script with stand-ins for `srun` and `scontrol`; returns its status and what they were called with.
fn batch(status: i32, leaves: &str, restarts: &str) -> (Option<i32>, String) {
    let place = Place::new();
    let program = |name: &str, text: String| -> PathBuf {
        let path = place.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    program("srun", "#!/bin/sh\n[ \"$1\" = --kill-on-bad-exit=0 ] && shift && exec \"$@\"\n".into());
    program("app", format!("#!/bin/sh\necho app $*\nmkdir -p run\n{leaves}\nexit {status}\n"));
    program("scontrol", "#!/bin/sh\necho scontrol $*\n".into());
    let path = format!("{}:{}", place.path("").display(), std::env::var("PATH").unwrap());
    let ran = Command::new("bash")
        .arg(root().join("scripts/cluster/train.sbatch"))
        .current_dir(place.path(""))
        .env("PATH", path)
        .envs([("CONFIG", "a.json"), ("RUN", "run"), ("SLURM_JOB_ID", "123456"), ("SLURM_RESTART_COUNT", restarts)])
        .output()
        .unwrap();
    (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
}

#[test]
fn a_job_of_slurm_is_requeued_where_its_run_can_go_on() {
    let called = "app train --config a.json --run run\n";
    let again = format!("{called}scontrol requeue 123456\n");
    assert_eq!(batch(0, "", "0"), (Some(0), called.into()));
    assert_eq!(batch(75, "", "0"), (Some(75), again.clone()));
    assert_eq!(batch(137, "touch run/requeue", "0"), (Some(137), again));
    assert_eq!(batch(1, "", "0"), (Some(1), called.into()), "an error comes again");
    assert_eq!(batch(75, "", "100"), (Some(75), called.into()), "not for ever");
}
