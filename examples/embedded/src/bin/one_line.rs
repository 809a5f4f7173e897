//! The whole gateway in one call: `one_line idleway.toml`. Ctrl-C ends it in order.

use std::error::Error;

use idleway::{Plan, run_gateway};

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).unwrap_or_else(|| "idleway.toml".to_owned());
    run_gateway(Plan::from_toml(&std::fs::read_to_string(&file)?, &file)?)?;
    Ok(())
}
