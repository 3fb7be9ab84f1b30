#!/bin/bash
# In the VM: nothing, where booting is the test.
