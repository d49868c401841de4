"""What the adapter's functions take, in two generations, as data: names in order, with their defaults.

"2021" is the adapter that the model cards' ports were written for, "2026" the present one; both are for TensorFlow
1.15. Written down from their documentation and signatures.
"""

REQUIRED = "required"

_COMMON = dict(
    iterations_per_loop=1, profiling_config=None, model_dir=None, tf_random_seed=None, save_summary_steps=0,
    save_checkpoints_steps=None, save_checkpoints_secs=None, session_config=None, keep_checkpoint_max=5,
    keep_checkpoint_every_n_hours=10000, log_step_count_steps=100, distribute=None, enable_data_pre_proc=True,
    precision_mode=None, enable_reduce_precision=False)
_2021 = dict(
    variable_format_optimize=True, mix_compile_mode=False, hcom_parallel=False, graph_memory_max_size=None,
    variable_memory_max_size=None, auto_tune_mode=None, dump_config=None, stream_max_parallel_num=None,
    is_tailing_optimization=False, horovod_mode=False, graph_run_mode=1, op_debug_level=0,
    enable_scope_fusion_passes=None, enable_exception_dump=0, op_select_implmode=None, optypelist_for_implmode=None,
    dynamic_input_config=None, mstune_mode=None, work_path=None, buffer_optimize="l2_optimize",
    enable_small_channel=0, fusion_switch_file=None, enable_compress_weight=False, compress_weight_conf=None,
    op_compiler_cache_mode=None, op_compiler_cache_dir=None, debug_dir=None, hcom_multi_mode=False,
    dynamic_input=False, dynamic_graph_execute_mode="dynamic_execute", dynamic_inputs_shape_range=None,
    train_distribute=None, eval_distribute=None, local_rank_id=None, local_device_list=None, session_device_id=None)
_2026 = dict(
    variable_format_optimize=None, mix_compile_mode=False, hcom_parallel=True, graph_memory_max_size=None,
    variable_memory_max_size=None, dump_config=None, stream_max_parallel_num=None, is_tailing_optimization=False,
    horovod_mode=False, graph_run_mode=1, op_debug_level=None, enable_scope_fusion_passes=None,
    enable_exception_dump=2, op_select_implmode=None, optypelist_for_implmode=None, dynamic_input_config=None,
    aoe_mode=None, work_path=None, buffer_optimize="l2_optimize", enable_small_channel=0, fusion_switch_file=None,
    enable_compress_weight=False, compress_weight_conf=None, op_compiler_cache_mode=None, op_compiler_cache_dir=None,
    debug_dir=None, hcom_multi_mode=False, dynamic_input=None, dynamic_graph_execute_mode="dynamic_execute",
    dynamic_inputs_shape_range=None, train_distribute=None, eval_distribute=None, local_rank_id=None,
    local_device_list=None, session_device_id=None, distribute_config=None, modify_mixlist=None,
    op_precision_mode=None, device_type="default_device_type", soc_config=None, hccl_timeout=None,
    op_wait_timeout=None, op_execute_timeout=None, HCCL_algorithm=None, customize_dtypes=None, op_debug_config=None,
    memory_config=None, experimental_config=None, topo_sorting_mode=None, aoe_config_file=None, insert_op_file=None,
    stream_sync_timeout=-1, event_sync_timeout=-1, external_weight=False, deterministic=0, frozen_variable=False,
    variable_placement="Device", jit_compile="auto", precision_mode_v2=None)

_ESTIMATOR = dict(model_fn=None, model_dir=None, config=None, params=None, job_start_file="", warm_start_from=None)
_SPEC = dict(mode=REQUIRED, predictions=None, loss=None, train_op=None, eval_metric_ops=None, export_outputs=None,
             training_chief_hooks=None, training_hooks=None, scaffold=None, evaluation_hooks=None,
             prediction_hooks=None, host_call=None)
_EXPONENTIAL = dict(init_loss_scale=REQUIRED, incr_every_n_steps=REQUIRED, decr_every_n_nan_or_inf=2, incr_ratio=2,
                    decr_ratio=0.8)
_DUMP = dict(enable_dump=False, dump_path=None, dump_step=None, dump_mode="output", enable_dump_debug=False,
             dump_debug_mode="all")
_PROFILE = dict(enable_profiling=False, profiling_options=None)
_GROUP = dict(group="hccl_world_group")

CONFIG = "npu_bridge.estimator.npu.npu_config"
ESTIMATOR = "npu_bridge.estimator.npu.npu_estimator"
OPTIMIZER = "npu_bridge.estimator.npu.npu_optimizer"
SCALING = "npu_bridge.estimator.npu.npu_loss_scale_optimizer"
MANAGER = "npu_bridge.estimator.npu.npu_loss_scale_manager"
SCOPE = "npu_bridge.estimator.npu.npu_scope"
OPS = "npu_bridge.estimator.npu_ops"
HCCL = "npu_bridge.hccl.hccl_ops"
MANAGE = "hccl.manage.api"

_BOTH = {
    (CONFIG, "DumpConfig"): _DUMP,
    (CONFIG, "ProfilingConfig"): _PROFILE,
    (ESTIMATOR, "NPUEstimator"): _ESTIMATOR,
    (ESTIMATOR, "NPUEstimatorSpec"): _SPEC,
    (OPTIMIZER, "NPUDistributedOptimizer"): dict(optimizer=REQUIRED, is_weight_update_sharding=False, name=None),
    (SCALING, "NPULossScaleOptimizer"): dict(opt=REQUIRED, loss_scale_manager=REQUIRED, is_distributed=False),
    (MANAGER, "ExponentialUpdateLossScaleManager"): _EXPONENTIAL,
    (SCOPE, "keep_dtype_scope"): {},
    (OPS, "initialize_system"): dict(name=None),
    (OPS, "shutdown_system"): dict(name=None),
    (HCCL, "allreduce"): dict(tensor=REQUIRED, reduction=REQUIRED, fusion=1, fusion_id=-1, **_GROUP),
    (HCCL, "broadcast"): dict(tensor=REQUIRED, root_rank=REQUIRED, fusion=2, fusion_id=0, **_GROUP),
    (MANAGE, "get_rank_id"): _GROUP,
    (MANAGE, "get_rank_size"): _GROUP,
    (MANAGE, "get_local_rank_id"): _GROUP,
    (MANAGE, "get_local_rank_size"): _GROUP,
}

GENERATIONS = {
    "2021": {
        **_BOTH,
        (CONFIG, "NPURunConfig"): {**_COMMON, **_2021},
        (MANAGER, "FixedLossScaleManager"): dict(loss_scale=REQUIRED),
        (HCCL, "allgather"): dict(tensor=REQUIRED, rank_size=REQUIRED, **_GROUP),
    },
    "2026": {
        **_BOTH,
        (CONFIG, "NPURunConfig"): {**_COMMON, **_2026},
        (MANAGER, "FixedLossScaleManager"): dict(loss_scale=REQUIRED, enable_overflow_check=True),
        (OPTIMIZER, "npu_distributed_optimizer_wrapper"): dict(optimizer=REQUIRED),
        (HCCL, "allgather"): dict(tensor=REQUIRED, rank_size=REQUIRED, fusion=0, fusion_id=-1, **_GROUP),
    },
}

PRECISION_MODES = {
    "2021": ("allow_fp32_to_fp16", "force_fp16", "force_fp32", "must_keep_origin_dtype", "allow_mix_precision"),
    "2026": ("allow_fp32_to_fp16", "force_fp16", "force_fp32", "cube_fp16in_fp32out", "must_keep_origin_dtype",
             "allow_mix_precision", "allow_mix_precision_fp16"),
}
"""Those that the 910 has."""
