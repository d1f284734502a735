//! Two network namespaces with a cable between them, which can be cut. They need no rights where users may make
//! namespaces, and go with the processes in them.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Address of the first namespace.
pub const FIRST: &str = "10.77.0.1";
/// Address of the second one.
const SECOND: &str = "10.77.0.2";

/// Two namespaces: all ranks but the last are in the first, and the last in the second.
pub struct Network {
    /// Processes that keep the namespaces.
    first: Keeper,
    second: Keeper,
}

struct Keeper(Child);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Keeper {
    /// Starts a process and waits until it is in a network namespace of its own.
    fn start(mut command: Command) -> Option<Self> {
        let own = fs::read_link("/proc/self/ns/net").ok()?;
        let mut keeper = Self(command.stderr(Stdio::null()).spawn().ok()?);
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(10) && keeper.0.try_wait().ok()?.is_none() {
            let about = format!("/proc/{}", keeper.0.id());
            let is_inside = fs::read_link(format!("{about}/ns/net")).is_ok_and(|net| net != own);
            if is_inside && fs::read_to_string(format!("{about}/comm")).is_ok_and(|name| name.trim() == "sleep") {
                return Some(keeper);
            }
            sleep(Duration::from_millis(5));
        }
        None
    }

    /// Returns a command that runs what is added to it in this namespace.
    fn inside(&self, own_network: bool) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.0.id().to_string(), "--user", "--preserve-credentials"]);
        command.args(own_network.then_some("--net"));
        command
    }

    /// Runs `ip` there; returns true if it succeeds.
    fn ip(&self, arguments: &str) -> bool {
        let mut command = self.inside(true);
        command.arg("ip").args(arguments.split(' ')).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

impl Network {
    /// Makes the namespaces and the cable; None where the system does not let it.
    pub fn new() -> Option<Self> {
        let mut first = Command::new("unshare");
        first.args(["--user", "--map-root-user", "--net", "sleep", "100000"]);
        let first = Keeper::start(first)?;
        let mut second = first.inside(false);
        second.args(["unshare", "--net", "sleep", "100000"]);
        let network = Self { first, second: Keeper::start(second)? };
        let Self { first, second } = &network;
        let cable = format!("link add left type veth peer name right netns {}", second.0.id());
        let made = first.ip("link set lo up")
            && second.ip("link set lo up")
            && first.ip(&cable)
            && first.ip(&format!("address add {FIRST}/24 dev left"))
            && second.ip(&format!("address add {SECOND}/24 dev right"))
            && first.ip("link set left up")
            && second.ip("link set right up");
        made.then_some(network)
    }

    /// Returns a command that runs `command` where rank `rank` is.
    pub fn inside(&self, rank: usize, command: &Command) -> Command {
        let keeper = if rank + 1 == super::COUNT { &self.second } else { &self.first };
        let mut inside = keeper.inside(true);
        inside.arg(command.get_program()).args(command.get_args());
        command.get_current_dir().map(|folder| inside.current_dir(folder));
        inside
    }

    /// Takes the cable out, at the end of the second namespace.
    pub fn cut(&self) {
        assert!(self.second.ip("link set right down"));
    }

    /// Plugs it in again.
    pub fn mend(&self) {
        assert!(self.second.ip("link set right up"));
    }
}
