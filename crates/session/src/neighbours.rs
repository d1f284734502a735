//! Detects other programs that take this one's processor time: they slow a training down, and nothing else shows why.

use std::fs;
use std::time::{Duration, Instant};

/// Length of a measuring window. In a shorter one start-up and single events would dominate.
const WINDOW: Duration = Duration::from_secs(20);
/// Share of their time that our threads must wait for a core before a warning.
const WAITING: f64 = 0.15;
/// Number of cores that others must use meanwhile. Our own threads also wait for each other if they outnumber the
/// cores.
const OTHERS: f64 = 0.3;

/// Watches a training, and warns once if others slow it down.
pub struct Neighbours {
    since: Option<(Instant, Counters)>,
}

impl Neighbours {
    /// Starts to watch. Never warns where the system has no such counters, which are Linux's.
    pub fn watch() -> Self {
        Self { since: Counters::read().map(|counters| (Instant::now(), counters)) }
    }

    /// Reads the counters once a window has passed, and warns if others slow the training down.
    pub fn look(&mut self) {
        let Some((since, before)) = &self.since else { return };
        if since.elapsed() < WINDOW {
            return;
        }
        let after = Counters::read();
        if let Some(said) = after.as_ref().and_then(|after| before.slowed_down(after)) {
            log::warn!("{said}");
            self.since = None;
            return;
        }
        self.since = after.map(|after| (Instant::now(), after));
    }
}

/// Cumulative counters of the system.
#[derive(Debug, Clone, PartialEq)]
struct Counters {
    /// Nanoseconds that our threads ran, and that they waited for a core.
    ran: u64,
    waited: u64,
    /// Ticks of this process, of all processors while busy, and of all processors.
    own: u64,
    busy: u64,
    all: u64,
    cores: usize,
}

impl Counters {
    fn read() -> Option<Self> {
        let threads = fs::read_dir("/proc/self/task").ok()?.flatten();
        // A thread may end meanwhile.
        let threads: Vec<String> =
            threads.filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok()).collect();
        Self::parse(&threads, &fs::read_to_string("/proc/self/stat").ok()?, &fs::read_to_string("/proc/stat").ok()?)
    }

    /// Parses the `schedstat` of each thread, the `stat` of the process, and the `stat` of the system; see proc(5).
    fn parse(threads: &[String], process: &str, system: &str) -> Option<Self> {
        let (mut ran, mut waited) = (0, 0);
        for thread in threads {
            let mut numbers = thread.split_whitespace().map(str::parse::<u64>);
            ran += numbers.next()?.ok()?;
            waited += numbers.next()?.ok()?;
        }
        // The process name may hold anything, blanks and parentheses too. After it, fields 12 and 13 are utime and
        // stime.
        let fields = process.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
        let own = fields.map(str::parse::<u64>).sum::<Result<u64, _>>().ok()?;
        let cpus: Vec<&str> = system.lines().take_while(|line| line.starts_with("cpu")).collect();
        let ticks = cpus.first()?.split_whitespace().skip(1).map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user already.
        let ticks = ticks.get(..8)?;
        let all: u64 = ticks.iter().sum();
        Some(Self { ran, waited, own, busy: all - ticks[3] - ticks[4], all, cores: cpus.len() - 1 })
    }

    /// Returns a warning about the time until `after`, or None where all is well.
    fn slowed_down(&self, after: &Self) -> Option<String> {
        let [ran, waited, own, busy, all] = [
            after.ran.saturating_sub(self.ran),
            after.waited.saturating_sub(self.waited),
            after.own.saturating_sub(self.own),
            after.busy.saturating_sub(self.busy),
            after.all.saturating_sub(self.all),
        ]
        .map(|count| count as f64);
        let share = waited / (ran + waited);
        let others = (busy - own) / all * after.cores as f64;
        // False, too, if nothing ran and the values are NaN.
        let slowed = share >= WAITING && others >= OTHERS;
        slowed.then(|| {
            format!(
                "Other programs slow this training down: its threads waited {:.0} % of their time for a core, while \
                 others used {others:.1} of {} cores",
                share * 100.0,
                after.cores
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn counters(threads: &[&str], own: [u64; 2], cpu: [u64; 8]) -> Counters {
        let threads: Vec<String> = threads.iter().map(ToString::to_string).collect();
        let process = format!("7 (a name) with) S 1 7 7 0 -1 4194560 1 2 3 4 {} {} 9 9", own[0], own[1]);
        let ticks = cpu.map(|ticks| ticks.to_string()).join(" ");
        let system = format!("cpu  {ticks} 0 0\ncpu0 {ticks} 0 0\ncpu1 {ticks} 0 0\nintr 1 2 3\nctxt 5\n");
        Counters::parse(&threads, &process, &system).unwrap()
    }

    #[test]
    fn threads_that_wait_while_others_compute_are_told_of() {
        let before =
            counters(&["1000000000 0 5\n", "1000000000 500000000 5\n"], [150, 50], [300, 0, 100, 900, 50, 0, 0, 0]);
        assert_eq!(
            (before.ran, before.waited, before.own, before.busy, before.all),
            (2_000_000_000, 500_000_000, 200, 400, 1350)
        );
        // 20 s on 2 cores: our threads waited half of the time, and others used one core.
        let busy = counters(
            &["11000000000 10000000000 9\n", "11000000000 10500000000 9\n"],
            [2050, 150],
            [4000, 0, 300, 900, 50, 0, 0, 100],
        );
        let said = before.slowed_down(&busy).unwrap();
        assert!(said.contains("waited 50 % of their time for a core, while others used 1.0 of 2 cores"), "{said}");
        // As long a wait, but for our own threads: nobody else ran.
        let alone = counters(
            &["21000000000 10000000000 9\n", "21000000000 10500000000 9\n"],
            [4050, 150],
            [4000, 0, 400, 900, 50, 0, 0, 0],
        );
        assert_eq!(before.slowed_down(&alone), None);
        // Others compute, on cores that nobody else wanted.
        let beside =
            counters(&["21000000000 0 9\n", "1000000000 600000000 9\n"], [2050, 150], [4000, 0, 400, 900, 50, 0, 0, 0]);
        assert_eq!(before.slowed_down(&beside), None);
        assert_eq!(before.slowed_down(&before), None, "no time has passed");
    }

    #[test]
    fn what_the_system_tells_is_read_and_grows() {
        let Some(before) = Counters::read() else {
            // Bypasses the test harness, which hides the output of tests that pass.
            let _ = writeln!(std::io::stderr(), "SKIPPED: this system has no /proc with counters");
            return;
        };
        // On a busy machine it takes a while until this process has run as long.
        let since = Instant::now();
        let mut after = Counters::read().unwrap();
        while since.elapsed() < Duration::from_millis(60)
            || after.ran < before.ran + 10_000_000 && since.elapsed() < Duration::from_secs(60)
        {
            after = Counters::read().unwrap();
        }
        assert!(
            after.ran >= before.ran + 10_000_000 && after.all > before.all && after.cores >= 1,
            "{before:?} {after:?}"
        );
        assert!(Counters::parse(&["no number".into()], "", "").is_none());
    }
}
