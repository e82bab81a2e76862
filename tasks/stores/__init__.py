"""Storage engines that need more than a mounted file system, each behind the Store protocol of `coldchain.store`."""
