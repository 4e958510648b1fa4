"""The real parts of a mesh on one machine, and what the tests ask of them.

kube-apiserver with etcd, istiod, Istio's agent with Envoy, and a registry: unmodified programs, in
a network namespace of their own (inside.sh), so that ports are fixed. What stands in for a cluster
is small: WorkloadEntries are the pods, and the shops of the end-to-end tests serve them.
"""
