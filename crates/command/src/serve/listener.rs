//! The listening socket of `serve`. systemd keeps it during a restart, so that pushes wait instead of failing.

use std::io;
use std::net::SocketAddr;

use listenfd::ListenFd;
use tokio::net::TcpListener;

/// Listens on `address`, with the socket of the previous process if systemd has kept it.
pub(super) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if let Some(kept) = ListenFd::from_env().take_tcp_listener(0)? {
        if kept.local_addr()? == address {
            kept.set_nonblocking(true)?;
            return TcpListener::from_std(kept);
        }
        // Closing it is not enough to end it: systemd keeps a copy until this.
        rustix::net::shutdown(&kept, rustix::net::Shutdown::Both)?;
    }
    TcpListener::bind(address).await
}
