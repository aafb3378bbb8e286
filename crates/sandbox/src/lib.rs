//! Stand-ins for what lives on the internet, and the load that tests them.
