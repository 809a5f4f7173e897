//! A gateway inside a program that runs tokio: `in_tokio http://127.0.0.1:6000 …`. Ctrl-C ends it in order.

use std::error::Error;
use std::net::TcpListener;

use idleway::{Gateway, Plan};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let until = async { _ = tokio::signal::ctrl_c().await };
    let drained = Gateway::builder(Plan::from_urls(&urls)?).serve(listener, until).await?;
    println!("{} cut, {} abandoned", drained.cut, drained.abandoned);
    Ok(())
}
