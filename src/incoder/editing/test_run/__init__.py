"""Running a user's command so that neither its files nor its processes outlive it."""
