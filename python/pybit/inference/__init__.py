"""Images in, answers out: predictions and features, and the tables that hold them."""
