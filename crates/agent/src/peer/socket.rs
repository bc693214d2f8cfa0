//! The client's end of a connection, from `NETLINK_SOCK_DIAG` (`man 7 sock_diag`).
//!
//! One exact lookup by the four-tuple, not a dump. The kernel answers while the request is being sent, so the socket
//! never blocks.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::Refusal;

/// `INET_DIAG_NOCOOKIE`: any socket with these addresses.
const ANY_COOKIE: [u8; 8] = [0xff; 8];

/// What the kernel says about the client's socket.
pub(super) struct ClientSocket {
    /// The inode that `/proc/PID/fd` shows as `socket:[inode]`.
    pub(super) inode: u32,
    /// The uid of the process that created the socket.
    pub(super) uid: u32,
}

/// Finds the socket whose own address is `client` and whose peer is `server`.
pub(super) fn find(client: SocketAddr, server: SocketAddr) -> Result<ClientSocket, Refusal> {
    let reply = ask(client, server).map_err(Refusal::unreadable("socket diagnostics"))?;
    let response = match reply.payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => response,
        NetlinkPayload::Error(_) => return Err(Refusal::NoSocket),
        _ => return Err(Refusal::Unreadable("socket diagnostics: an unexpected answer".to_owned())),
    };
    // SECURITY: when there is no such connection, the kernel answers with a listening socket that would take one.
    let id = &response.header.socket_id;
    let exact = id.source_port == client.port()
        && id.destination_port == server.port()
        && id.source_address.to_canonical() == client.ip().to_canonical()
        && id.destination_address.to_canonical() == server.ip().to_canonical();
    if !exact || response.header.inode == 0 {
        return Err(Refusal::NoSocket);
    }
    Ok(ClientSocket { inode: response.header.inode, uid: response.header.uid })
}

fn ask(client: SocketAddr, server: SocketAddr) -> std::io::Result<NetlinkMessage<SockDiagMessage>> {
    // An IPv4 connection of an IPv6 socket is found by its IPv4 addresses.
    let (source_address, destination_address) = (client.ip().to_canonical(), server.ip().to_canonical());
    let family = if source_address.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: client.port(),
            destination_port: server.port(),
            source_address,
            destination_address,
            interface_id: scope(client),
            cookie: ANY_COOKIE,
        },
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let socket = netlink_sys::Socket::new(NETLINK_SOCK_DIAG)?;
    socket.set_non_blocking(true)?;
    socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    NetlinkMessage::deserialize(&answer).map_err(std::io::Error::other)
}

/// The interface of a scoped address; loopback has none.
fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(v6)
            if v6.ip() != &Ipv6Addr::LOCALHOST && IpAddr::V6(*v6.ip()).to_canonical().is_ipv6() =>
        {
            v6.scope_id()
        }
        _ => 0,
    }
}
