//! Addresses: where the ranks meet, and where this one listens.

use crate::error::{Fate, Fault};
use crate::world::is_loopback;
use crate::{Error, World};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::IntoRawFd;
use std::thread;
use std::time::{Duration, Instant};
use torch_ext::Store;

/// Time between two attempts to reach rank 0.
const RETRY: Duration = Duration::from_millis(200);

/// Returns the address on which this process listens for other ranks.
pub(crate) fn own_address(world: &World, interface: Option<&str>) -> Result<IpAddr, Error> {
    if let Some(name) = interface {
        if let Ok(address) = name.parse() {
            return Ok(address);
        }
        let address = torch_ext::interface_address(name).map_err(|error| Error::Address(error.to_string()))?;
        // An IPv6 address may name its zone.
        let plain = address.split('%').next().unwrap_or_default();
        return plain.parse().map_err(|_| Error::Address(format!("'{address}' of {name} cannot be read")));
    }
    if is_loopback(&world.address) {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let mut problem = None;
    for target in resolved(&world.address, world.port).unwrap_or_default() {
        match route(target) {
            Ok(address) if world.is_local() || !address.is_loopback() => return Ok(address),
            Ok(address) => problem = Some(format!("{} leads to {address}, which others cannot reach", world.address)),
            Err(error) => problem = Some(format!("no route to {target}: {error}")),
        }
    }
    Err(Error::Address(problem.unwrap_or_else(|| format!("MASTER_ADDR={} is not known here", world.address))))
}

fn resolved(host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    let mut all: Vec<_> = (host, port).to_socket_addrs()?.collect();
    all.sort_by_key(SocketAddr::is_ipv6);
    Ok(all)
}

/// Returns the address by which this machine reaches `target`. Sends nothing.
fn route(target: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}

/// Listener of the store, at the address where the ranks meet.
#[derive(Debug)]
pub(crate) struct Meeting {
    pub(crate) listener: TcpListener,
}

/// Listens where the ranks meet: at the address that MASTER_ADDR means on this machine, or at `interface`.
pub(crate) fn listen(world: &World, interface: Option<IpAddr>) -> Result<Meeting, Error> {
    let named = || resolved(&world.address, world.port).ok()?.first().map(SocketAddr::ip);
    let address = match interface {
        Some(address) => address,
        None if is_loopback(&world.address) => Ipv4Addr::LOCALHOST.into(),
        None => named().unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
    };
    let address = SocketAddr::new(address, world.port);
    match TcpListener::bind(address) {
        Ok(listener) => Ok(Meeting { listener }),
        // MASTER_ADDR is a name that stands for this machine in front of it, as a service of Kubernetes.
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable && interface.is_none() => {
            log::warn!("{address} is no address of this machine: the rendezvous listens on all of them");
            let all = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), world.port);
            let listener = TcpListener::bind(all).map_err(|source| Error::Listen { address: all, source })?;
            Ok(Meeting { listener })
        }
        Err(source) => Err(Error::Listen { address, source }),
    }
}

/// Opens the store of this process's own listener.
pub(crate) fn keep(meeting: Meeting, prefix: &str, timeout: Duration) -> Result<(Store, SocketAddr), Error> {
    let mut address = meeting.listener.local_addr().map_err(|error| Error::Address(error.to_string()))?;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let descriptor = Some(meeting.listener.into_raw_fd());
    let store = Store::connect(&address.ip().to_string(), address.port(), descriptor, prefix, timeout)?;
    Ok((store, address))
}

/// Waits until the store can be reached, and returns its address.
pub(crate) fn reach(world: &World, timeout: Duration) -> Result<SocketAddr, Fault> {
    let since = Instant::now();
    let host = if is_loopback(&world.address) { "127.0.0.1" } else { &world.address };
    let mut problem;
    loop {
        let left = timeout.saturating_sub(since.elapsed());
        // Names of machines that start may appear late.
        match resolved(host, world.port) {
            Err(error) => problem = error.to_string(),
            Ok(addresses) => {
                problem = "its name has no address".into();
                for address in addresses {
                    match TcpStream::connect_timeout(&address, left.max(RETRY)) {
                        Ok(_) => return Ok(address),
                        Err(error) => problem = error.to_string(),
                    }
                }
            }
        }
        if since.elapsed() >= timeout {
            break;
        }
        thread::sleep(RETRY.min(left));
    }
    let cause = format!("{}:{} could not be reached within {timeout:?} ({problem})", world.address, world.port);
    Err(match world.agent_store {
        true => Fault { culprits: Vec::new(), cause: format!("the launcher's store at {cause}") },
        false => Fault::of(0, Fate::NeverStarted, format!("its store at {cause}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_ranks_listen_on_loopback_only() {
        let world = World { count: 2, local_count: 2, ..World::alone() };
        assert!(own_address(&world, None).unwrap().is_loopback());
        let meeting = listen(&world, None).unwrap();
        assert!(meeting.listener.local_addr().unwrap().ip().is_loopback());
        let taken = World { port: meeting.listener.local_addr().unwrap().port(), ..world };
        let said = listen(&taken, None).unwrap_err().to_string();
        assert!(said.contains("rank 0 cannot listen on 127.0.0.1:") && said.contains("MASTER_PORT"), "{said}");
    }

    #[test]
    fn an_interface_is_a_name_or_an_address() {
        let world = World { address: "host.invalid".into(), count: 2, ..World::alone() };
        assert_eq!(own_address(&world, Some("lo")).unwrap(), Ipv4Addr::LOCALHOST);
        assert_eq!(own_address(&world, Some("10.1.2.3")).unwrap(), Ipv4Addr::new(10, 1, 2, 3));
        let said = own_address(&world, Some("no-such-interface")).unwrap_err().to_string();
        assert!(said.contains("no network interface 'no-such-interface'"), "{said}");
        let said = own_address(&world, None).unwrap_err().to_string();
        assert!(said.contains("MASTER_ADDR=host.invalid") && said.contains("distributed.interface"), "{said}");
    }
}
